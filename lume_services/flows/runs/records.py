"""The records of runs and of their steps, in the results store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import Any, Literal, Self
from uuid import uuid4

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from lume_services.config import current_context
from lume_services.errors import EncodeError, ResultCorruptError, RunNotFoundError, choose_from
from lume_services.flows.code.code import Code
from lume_services.flows.runs.request import LATEST
from lume_services.flows.runs.spec_key import SpecKey
from lume_services.results.plain import loaded
from lume_services.services.results import ResultsDBService
from lume_services.services.results.service import INTERNAL
from lume_services.values import encode
from lume_services.values.blobs import Blob

RUNS = f"{INTERNAL}runs"
STEPS = f"{INTERNAL}steps"

_SHOWN = 5


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class RunRecord:
    """A run of a flow-of-flows, as it began.

    Attributes:
        run_id: The id of its flow run.
        root: The id of the run that it resumes; its own if it resumes none. What the steps of all runs of
            one root have given is shared between them.
        name: The name of the spec.
        project_name: The project of the spec.
        spec: The spec as it was written.
        folder: Where its file stood: modules beside it are found there.
        place: Its file, with the folder; for one that was given as a dict, the working directory.
        parameters: The values for the run, by step and parameter; None if they could not be stored.
        backend: The name of the backend.
        provenance: Machine, user, and versions.
        began: When it began.
    """

    run_id: str
    root: str
    name: str
    project_name: str | None
    spec: Mapping[str, Any]
    folder: str | None
    parameters: Mapping[str, Mapping[str, Any]] | None
    backend: str
    provenance: Mapping[str, Any]
    began: AwareDatetime = field(default_factory=_now)
    place: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Return the record from the document of the store; see `_checked`."""
        found: Self = _checked(cls, record)
        return found

    @property
    def of_spec(self) -> SpecKey:
        """The spec that was run."""
        key = SpecKey.of(self.name, self.project_name, self.spec, self.place if self.folder else None)
        return replace(key, place=self.place)


@dataclass(frozen=True)
class StepRecord:
    """A step of a run that has ended.

    Attributes:
        id: Of the record; the id of its flow run, if there was one.
        run_id: The id of the run of the whole.
        root: The root of that run.
        step: The name of the step.
        flow: The name of its flow.
        state: How it ended.
        code: The code of its flow.
        inputs: The fingerprints of its parameters by name; None if one has none.
        parents: The ids of the records of the steps that gave it values, by step.
        began: When it began.
        seconds: How long it ran.
        flow_run_id: The id of its flow run.
        error: Why it failed.
        refused: Why its value could not be stored.
        given: The parameters that no other step gave, the defaults of the flow among them; left out where one
            cannot be stored.
        tasks: What the tasks that the spec names returned, by name. Read by `RunRecords.values` only.
        value: What its flow returned. Read by `RunRecords.values` only.
    """

    run_id: str
    root: str
    step: str
    flow: str
    state: Literal["completed", "failed"]
    code: Code
    inputs: Mapping[str, str] | None
    parents: Mapping[str, str]
    began: AwareDatetime
    seconds: float
    flow_run_id: str | None = None
    error: str | None = None
    refused: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    tasks: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    id: str = field(default_factory=lambda: str(uuid4()))

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Return the record from the document of the store; see `_checked`."""
        found: Self = _checked(cls, record)
        return found


def _checked(cls: Any, record: Mapping[str, Any]) -> Any:
    """Return the record of a run or step, whose parts are of the right types: it may come from anywhere.

    Raises:
        ResultCorruptError: They are not.
    """
    known = {one.name: record[one.name] for one in fields(cls) if one.name in record}
    try:
        return _adapter(cls).validate_python(known)
    except ValidationError as error:
        wrong = [".".join(map(str, problem["loc"])) for problem in error.errors(include_input=False)]
        raise ResultCorruptError(
            f"this is no record of a run that we have written: {', '.join(wrong)}.",
            where=f"record {record.get('unique_hash')}",
            remedy="Delete it with ResultsDBService.delete, or restore the store from a backup.",
        ) from None


@cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    return TypeAdapter(cls)


_WITHOUT_VALUES = [one.name for one in fields(StepRecord) if one.name not in ("tasks", "value")]


class RunRecords:
    """The records of all runs.

    Args:
        service: The results store; that of the current context if None.
    """

    def __init__(self, service: ResultsDBService | None = None) -> None:
        self._service: ResultsDBService = service or current_context().results_db_service()

    def begin(self, run: RunRecord) -> None:
        """Store that a run begins; once, however often it is retried."""
        item = dict(vars(run))
        if not _can_be_stored(run.parameters):
            item["parameters"] = None
        self._insert(RUNS, item, run.run_id)

    def end(self, step: StepRecord) -> None:
        """Store that a step has ended. A value that cannot be stored is left out, and the reason kept."""
        item = {**vars(step), "code": vars(step.code)}
        if not _can_be_stored(step.given):
            item["given"] = {}
        try:
            self._insert(STEPS, item, step.id)
        except EncodeError as error:
            self._insert(STEPS, item | {"value": None, "tasks": {}, "refused": str(error)}, step.id)

    def steps(self, root: str) -> list[StepRecord]:
        """Return the steps that ended in the runs of a root, the last one first, without their values."""
        self._service.configure({STEPS: ["root", "flow_run_id"], RUNS: ["root", "name"]})
        found = self._service.find(collection=STEPS, query={"root": root}, fields=_WITHOUT_VALUES)
        return sorted((StepRecord.of(one) for one in found), key=lambda one: one.began, reverse=True)

    def step_of(self, flow_run_id: str) -> StepRecord | None:
        """Return the step whose flow run this is, without its values."""
        found = self._service.find_one(
            collection=STEPS, query={"flow_run_id": flow_run_id}, fields=_WITHOUT_VALUES
        )
        return StepRecord.of(found) if found else None

    def step(self, record_id: str) -> StepRecord:
        """Return a step by the id of its record, without its values.

        Raises:
            RunNotFoundError: It was deleted.
        """
        found = self._service.find_one(
            collection=STEPS, query={"unique_hash": record_id}, fields=_WITHOUT_VALUES
        )
        if found is None:
            raise RunNotFoundError("the record of a step was deleted.", where=f"record {record_id}")
        return StepRecord.of(found)

    def values(self, step: StepRecord) -> StepRecord:
        """Return a record with the values that the step gave."""
        found = self._service.find_one(collection=STEPS, query={"unique_hash": step.id})
        if found is None:
            raise RunNotFoundError(
                f"the record of step {step.step!r} was deleted.", where=f"run {step.run_id}"
            )
        return StepRecord.of(loaded(found))

    def runs(self, name: str | None = None, limit: int | None = None) -> Iterator[RunRecord]:
        """Yield the runs, the last one first.

        Args:
            name: Of the spec; all if None.
            limit: At most so many.
        """
        query = {} if name is None else {"name": name}
        found = self._service.find(collection=RUNS, query=query, sort="-date_modified", limit=limit)
        return map(RunRecord.of, found)

    def run(self, run_id: str, spec: SpecKey | None = None) -> RunRecord:
        """Return a run by its id, the beginning of that, or `latest`: the last one of that spec.

        Args:
            run_id: Which run.
            spec: The spec that it is to be of; any if None. A run that is named by its id may be one of the
                same name in another place.

        Raises:
            RunNotFoundError: There is none, there are several, or it is one of another spec.
        """
        if run_id == LATEST:
            same = (run for run in self.runs(spec.name if spec else None) if not spec or spec == run.of_spec)
            found = list(islice(same, 1))
        else:
            found = [RunRecord.of(one) for one in self._beginning_with(run_id)]
        if len(found) == 1 and (spec is None or spec.name == found[0].name):
            return found[0]
        raise self._not_found(run_id, spec, found)

    def attempts(self, root: str) -> list[RunRecord]:
        """Return the runs of a root, the first one first."""
        found = self._service.find(collection=RUNS, query={"root": root}, sort="date_modified")
        return [RunRecord.of(one) for one in found]

    def delete(self, roots: Iterable[str]) -> int:
        """Delete runs with all that is kept of their steps, and return how many runs."""
        wanted = {"root": {"$in": list(roots)}}
        self._service.delete(collection=STEPS, query=wanted)
        return self._service.delete(collection=RUNS, query=wanted)

    def _beginning_with(self, text: str) -> Iterator[dict[str, Any]]:
        import re

        query = {"unique_hash": {"$regex": f"^{re.escape(text)}"}}
        return self._service.find(collection=RUNS, query=query, limit=_SHOWN)

    def _insert(self, collection: str, item: Mapping[str, Any], unique_hash: str) -> None:
        stored = {**item, "unique_hash": unique_hash, "date_modified": item["began"]}
        self._service.insert_one(stored, collection=collection)

    def _not_found(self, run_id: str, spec: SpecKey | None, found: list[RunRecord]) -> RunNotFoundError:
        if len(found) > 1:
            ids = ", ".join(run.run_id for run in found)
            return RunNotFoundError(
                f"several runs begin with {run_id!r}.", remedy=f"Write more of it: {ids}."
            )
        if found and spec:
            return RunNotFoundError(
                f"the run is one of the spec {found[0].name!r}, not {spec.name!r}.",
                where=f"run {found[0].run_id}",
                remedy="Resume it with its own spec.",
            )
        of_spec = f" of the spec {spec}" if spec else ""
        what = "there is no run" if run_id == LATEST else f"there is no run {run_id!r}"
        known = list(islice(self.runs(spec.name if spec else None), _SHOWN))
        remedy = "None has been started with this results store."
        if known and run_id == LATEST:
            others = ", ".join(f"{run.run_id} of {run.place}" for run in known)
            remedy = f"If one of these is meant, name it by its id: {others}."
        elif known:
            remedy = choose_from(run_id, [run.run_id for run in known])
        return RunNotFoundError(f"{what}{of_spec} in the results store.", remedy=remedy)


class _Nowhere:
    """Takes large arrays without a copy, where a value is only tried."""

    def put(self, blob: Blob) -> None:
        """Leave it."""


def _can_be_stored(value: Any) -> bool:
    try:
        encode(value, sink=_Nowhere())
    except EncodeError:
        return False
    return True
