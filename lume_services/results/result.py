"""`Result`: the record of one run of a model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self, get_args

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    computed_field,
    model_validator,
)

from lume_services.config import current_context
from lume_services.errors import (
    MultipleResultsError,
    ResultCorruptError,
    ResultNotFoundError,
    ResultTypeNotRegistered,
    choose_from,
)
from lume_services.results.identity import part_at
from lume_services.results.provenance import Provenance, current_flow_id
from lume_services.results.registry import (
    get_result_from_string,
    get_result_types,
    register_result_type,
    type_string,
)
from lume_services.services.results import ResultsDBService
from lume_services.services.results.query.selection import SortSpec
from lume_services.services.results.record import hash_of
from lume_services.services.results.service import INTERNAL, is_internal
from lume_services.services.results.unreadable import Unreadable
from lume_services.values import decode, encode, fingerprint
from lume_services.values.document import dumps, loads
from lume_services.values.registry import kind_of

_SHOWN_HASHES = 10


def _from_json(value: Any, info: ValidationInfo) -> Any:
    return decode(loads(json.dumps(value))) if info.mode == "json" else value


def _to_json(value: Any) -> Any:
    return json.loads(dumps(encode(value)))


IN_JSON = (BeforeValidator(_from_json), PlainSerializer(_to_json, when_used="json"))

Stored = Annotated[Any, *IN_JSON]
"""Any value that the codec can store; it keeps its exact value and type, in JSON too."""

Values = Annotated[dict[str, Any], *IN_JSON]
"""Values by name, kept exactly as they are given."""


def _whole_milliseconds(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)


def _of_results(name: str) -> str:
    if is_internal(name):
        raise ValueError(
            f"the project {name!r} is not for results: names that begin with {INTERNAL!r} belong to the "
            "records of runs"
        )
    return name


Moment = Annotated[AwareDatetime, AfterValidator(_whole_milliseconds)]
"""A datetime with a time zone; kept in UTC, in whole milliseconds."""


class Result(BaseModel):  # noqa: PLW1641 - it can change, so it has no hash
    """The record of one run of a model: what went in, what came out, and where it comes from.

    A subclass adds fields; whatever the codec can store. Its stored records come back as that subclass, in
    every process that has imported its module.

    Attributes:
        id: Of the record in the store; None until it is stored.
        project_name: The collection in the store.
        flow_id: Of the Prefect flow; filled in where one is running.
        inputs: What went in, by name. Any values that can be stored, kept as they are.
        outputs: What came out, by name.
        date_modified: When the result was made.
        unique_on: What makes the result the same as another: names of fields, or dotted paths into them.
        result_type_string: The class, as `package.module:Class`; filled in.
        provenance: Run, machine and versions; filled in.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    id: str | None = None
    project_name: Annotated[str, AfterValidator(_of_results)] = Field(
        default="local", min_length=1, validation_alias=AliasChoices("project_name", "collection")
    )
    flow_id: str | None = Field(default_factory=current_flow_id)
    inputs: Values = {}
    outputs: Values = {}
    date_modified: Moment = Field(default_factory=lambda: _whole_milliseconds(datetime.now(UTC)))
    unique_on: list[str] = Field(
        default=["inputs", "outputs", "flow_id"],
        min_length=1,
        validation_alias=AliasChoices("unique_on", "index"),
    )
    result_type_string: str = ""
    provenance: Provenance = Field(default_factory=Provenance.here)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        register_result_type(cls)
        for field in cls.model_fields.values():
            _know_classes_in(field.annotation)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        own = type_string(type(self))
        if self.result_type_string not in ("", own):
            raise ValueError(f"the result type is {own!r}, not {self.result_type_string!r}")
        self.result_type_string = own
        for path in self.unique_on:
            self._at(path)
        return self

    @model_validator(mode="wrap")
    @classmethod
    def _verify(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        given = None
        if isinstance(data, Mapping):
            data = dict(data)
            given = data.pop("unique_hash", None)
        result = handler(data)
        if given is not None and given != result.unique_hash:
            raise ValueError(
                f"unique_hash is {given!r}, but the content gives {result.unique_hash!r}; leave it out"
            )
        return result

    @computed_field(repr=False)  # type: ignore[prop-decorator]
    @property
    def unique_hash(self) -> str:
        """The fingerprint of what `unique_on` names, as it is now."""
        return hash_of({path: self._at(path) for path in self.unique_on})

    def insert(self, results_db_service: ResultsDBService | None = None) -> str:
        """Store the result, once: an equal one that is stored already stays as it is.

        Args:
            results_db_service: Where to; default: the current context's.

        Returns:
            The id of the record, which may be the older one.

        Raises:
            EncodeError: A value cannot be stored; the message names it.
            ResultsDBError: The store cannot be written.
        """
        if results_db_service is None:
            context = current_context()
            results_db_service = context.results_db_service()
            self.provenance.backend = context.settings().backend
        self.id = results_db_service.insert_one(self.as_record(), collection=self.project_name)
        return self.id

    def unique_rep(self) -> dict[str, Any]:
        """Return the reference to this result, for JSON; `load_result` takes it back."""
        return {
            "project_name": self.project_name,
            "query": {"unique_hash": self.unique_hash},
            "result_type_string": self.result_type_string,
        }

    @classmethod
    def load_from_query(
        cls,
        project_name: str,
        query: Mapping[str, Any],
        results_db_service: ResultsDBService | None = None,
    ) -> Self:
        """Return the one result that matches.

        Large arrays are read when they are used. The record is verified against its digest when it is read,
        an array against its own; so what comes back is what was stored.

        Args:
            project_name: The collection.
            query: A MongoDB filter with dotted paths, as `{"outputs.y": {"$gt": 2}}`.
            results_db_service: Where to look; default: the current context's.

        Raises:
            ResultNotFoundError: None matches.
            MultipleResultsError: Several do; the message has their hashes.
            ResultCorruptError: The record is damaged, or was not stored by this class.
            ResultTypeNotRegistered: Its class is not known in this process.
        """
        service = _service(results_db_service)
        found = list(cls.find(project_name, query, limit=2, results_db_service=service))
        if len(found) == 1:
            return found[0]
        if not found:
            raise _none_matches(project_name, query, service)
        query = cls._of_this_type(query)
        records = service.find(
            collection=project_name, query=query, fields=["unique_hash"], limit=_SHOWN_HASHES
        )
        hashes = [record["unique_hash"] for record in records]
        raise MultipleResultsError(
            f"several results match {query!r}; the first have the hashes {', '.join(hashes)}.",
            where=f"project {project_name!r}",
            remedy='Narrow it, as {"unique_hash": …}; or take all with find(), the newest with latest().',
            hashes=hashes,
        )

    @classmethod
    def find(
        cls,
        project_name: str,
        query: Mapping[str, Any] | None = None,
        *,
        sort: SortSpec | None = None,
        limit: int | None = None,
        skip: int = 0,
        results_db_service: ResultsDBService | None = None,
    ) -> Iterator[Self]:
        """Stream the results of this class and its subclasses that match; see `ResultsDB.find`.

        One that cannot be loaded does not end the stream: all others come, then the error.
        """
        records = _service(results_db_service).find(
            collection=project_name, query=cls._of_this_type(query), sort=sort, limit=limit, skip=skip
        )
        return cls._stream(records)

    @classmethod
    def latest(
        cls,
        project_name: str,
        query: Mapping[str, Any] | None = None,
        results_db_service: ResultsDBService | None = None,
    ) -> Self:
        """Return the result that matches and has the last `date_modified`.

        Raises:
            ResultNotFoundError: None matches.
        """
        service = _service(results_db_service)
        record = service.latest(collection=project_name, query=cls._of_this_type(query))
        if record is None:
            raise _none_matches(project_name, query or {}, service)
        return cls._from_record(record)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return fingerprint(self.as_record()) == fingerprint(other.as_record())

    def as_record(self) -> dict[str, Any]:
        """Return the fields as the store keeps them."""
        fields = {name: getattr(self, name) for name in type(self).model_fields if name != "id"}
        return {**fields, "provenance": self.provenance.model_dump(), "unique_hash": self.unique_hash}

    @classmethod
    def _stream(cls, records: Iterator[dict[str, Any]]) -> Iterator[Self]:
        unreadable = Unreadable(lambda _: True)
        for record in records:
            try:
                result = cls._from_record(record)
            except (ResultCorruptError, ResultTypeNotRegistered) as error:
                unreadable.add(record["_id"], error)
            else:
                yield result
        unreadable.report()

    @classmethod
    def _from_record(cls, record: Mapping[str, Any]) -> Self:
        where = f"record {record['_id']}"
        name = str(record.get("result_type_string", ""))
        if not name:
            raise ResultCorruptError(
                "this is no Result: it has no result_type_string.",
                where=where,
                remedy="Read it with ResultsDBService.find, which returns dicts.",
                ids=[record["_id"]],
            )
        try:
            stored_class = get_result_from_string(name)
        except ResultTypeNotRegistered as error:
            raise ResultTypeNotRegistered(
                error.message, where=where, remedy=error.remedy, result_type_string=name
            ) from error
        fields = {key: value for key, value in record.items() if key not in ("_id", "unique_hash")}
        try:
            return cls.model_validate(stored_class.model_validate({**fields, "id": record["_id"]}))
        except ValidationError as error:
            raise ResultCorruptError(
                f"this is not a {name} as it is defined here: {error}",
                where=where,
                remedy="Read it with ResultsDBService.find, which returns dicts.",
                ids=[record["_id"]],
            ) from error

    @classmethod
    def _of_this_type(cls, query: Mapping[str, Any] | None) -> Mapping[str, Any]:
        if cls is Result:
            return query or {}
        names = [name for name, known in get_result_types().items() if issubclass(known, cls)]
        return {"$and": [query or {}, {"result_type_string": {"$in": names}}]}

    def _at(self, path: str) -> Any:
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return part_at(fields, path)


register_result_type(Result)


def load_result(reference: Mapping[str, Any], results_db_service: ResultsDBService | None = None) -> Result:
    """Return the result that `Result.unique_rep` refers to.

    Raises:
        ResultTypeNotRegistered: Its class is not known in this process; nothing is imported.
        ResultNotFoundError: It is not stored, or was deleted.
    """
    expected: dict[str, Any] = {"project_name": str, "query": Mapping, "result_type_string": str}
    given = reference if isinstance(reference, Mapping) else {}
    missing = [name for name, kind in expected.items() if not isinstance(given.get(name), kind)]
    if missing:
        raise ResultNotFoundError(
            f"this is no reference to a result, it lacks {', '.join(missing)}: {reference!r:.500}",
            remedy="Pass what Result.unique_rep() or the task save_db_result returned.",
        )
    found_class = get_result_from_string(reference["result_type_string"])
    return found_class.load_from_query(reference["project_name"], reference["query"], results_db_service)


def _service(results_db_service: ResultsDBService | None) -> ResultsDBService:
    return results_db_service or current_context().results_db_service()


def _none_matches(
    project_name: str, query: Mapping[str, Any], service: ResultsDBService
) -> ResultNotFoundError:
    projects = service.collections()
    if project_name in projects:
        remedy = f"The project has {service.count(collection=project_name)} results."
    else:
        remedy = f"The store has no such project. {choose_from(project_name, projects)}"
    return ResultNotFoundError(
        f"no result matches {dict(query)!r}.", where=f"project {project_name!r}", remedy=remedy
    )


def _know_classes_in(annotation: Any) -> None:
    """Let stored values of the classes in an annotation be loaded."""
    if isinstance(annotation, type):
        kind_of(annotation)
    for argument in get_args(annotation):
        _know_classes_in(argument)
