"""The `predecessor` store: results that SLAC's lume-services, before this program, has kept in MongoDB.

They can be read in place, and copied to any other store; nothing is written. The predecessor had a collection
for each project and a document for each result, with `flow_id`, `inputs`, `outputs`, `date_modified` and an
MD5 as `unique_hash`. Arrays are pickles, which are decoded without unpickling: see `pickled_array`.

A result comes back as a `Result` of this program, with the `unique_hash` of this program. The one it had
before is in its provenance, under `predecessor`. A table that the predecessor stored is JSON text, which
nothing tells from any other text; it stays text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from bson import decode
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pydantic import SecretStr
from pymongo.database import Database
from typing_extensions import override

from lume_services.errors import (
    BlobCorruptError,
    DecodeError,
    EncodeError,
    ResultCorruptError,
    ResultsDBError,
)
from lume_services.services.results.base import Reindexed, ResultsDB, Scan, batches
from lume_services.services.results.mongodb.records import keys_of
from lume_services.services.results.mongodb.server import MongoServer, Tree
from lume_services.services.results.predecessor.pickled_array import read_pickled_array
from lume_services.services.results.query.selection import Selection
from lume_services.services.results.record import (
    DATE_MODIFIED,
    ID,
    UNIQUE_HASH,
    Record,
    StoredRecord,
    hash_of,
)
from lume_services.values.blobs import BlobReader
from lume_services.values.codec import TYPE, encode
from lume_services.values.trail import Trail

PROVENANCE = "predecessor"

_RESULT = {"inputs": {"$type": "object"}, "outputs": {"$type": "object"}, UNIQUE_HASH: {"$type": "string"}}
_OTHERS = ("system.", "results.", "blobs.")  # MongoDB's own, and those of this program
_UNIQUE_ON = ["inputs", "outputs", "flow_id"]
_CLASSES = {"lume_services.results.generic:Result": "lume_services.results.result:Result"}
_FILE = frozenset({"filename", "filesystem_identifier", "file_type_string"})
_SERIALIZERS = {"lume.serializers.hdf5:HDF5Serializer": "lume_services.files.serializers.hdf5:HDF5Serializer"}
_FIELDS = (*_UNIQUE_ON, DATE_MODIFIED, "result_type_string", UNIQUE_HASH)
_NOT_KEPT = (ID, "collection", "project_name", "model_type")
_UNREADABLE = (
    *(DecodeError, EncodeError, BSONError),
    *(ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError),
)
_PAGE = 16
_UTC: Final[CodecOptions[Tree]] = CodecOptions(tz_aware=True, tzinfo=UTC)


class PredecessorResultsDB(ResultsDB):
    """The results of the predecessor in a MongoDB database, for reading.

    Args:
        uri: As for `MongodbResultsDB`, as are the others.
        host: Name of the server.
        port: Of the server.
        username: None means no authentication.
        password: Of the user.
        database: Name of the database.
        authmechanism: As the driver names it.
        options: Further options of the driver.
        timeout_seconds: How long to wait for a server that is away, and for each of its answers.
    """

    def __init__(
        self,
        *,
        uri: str | SecretStr | None = None,
        host: str = "localhost",
        port: int = 27017,
        username: str | None = None,
        password: str | SecretStr | None = None,
        database: str = "lume_services",
        authmechanism: str = "DEFAULT",
        options: Mapping[str, Any] | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        super().__init__()
        self._server = MongoServer(
            uri=uri,
            host=host,
            port=port,
            username=username,
            password=password,
            database=database,
            authmechanism=authmechanism,
            options=options or {},
            timeout_seconds=timeout_seconds,
        )

    def __repr__(self) -> str:
        return f"PredecessorResultsDB({self._server.where!r})"

    @override
    def collections(self) -> list[str]:
        return self._server.use(_with_results)

    @override
    def configure(self, indices: Mapping[str, Sequence[str]]) -> None:
        raise self._read_only()

    @override
    def reindex(self) -> Reindexed:
        raise self._read_only()

    @override
    def close(self) -> None:
        self._server.close()

    @override
    def _ids(self, collection: str, hashes: Sequence[str]) -> dict[str, str]:
        raise self._read_only()

    @override
    def _insert(self, collection: str, records: Sequence[Record]) -> dict[str, str]:
        raise self._read_only()

    @override
    def _delete(self, collection: str, ids: Sequence[str]) -> int:
        raise self._read_only()

    @override
    def _scan(self, collection: str, selection: Selection) -> Scan:
        ids = selection.query.texts(ID)
        keys = self._server.use(_all_keys, collection) if ids is None else keys_of(ids)
        return Scan(self._records(collection, keys))

    @override
    def _fetch(self, collection: str, ids: Sequence[str]) -> Iterator[StoredRecord]:
        for batch in batches(ids, _PAGE):
            found = {record.id: record for record in self._records(collection, keys_of(batch))}
            yield from (found[record_id] for record_id in batch if record_id in found)

    @override
    def _count(self, collection: str) -> int:
        return len(self._server.use(_all_keys, collection))

    @override
    def _open_blob(self, digest: str, record_id: str) -> BlobReader:
        raise BlobCorruptError(f"the predecessor had no blobs, so none is {digest!r}.", where=record_id)

    def _records(self, collection: str, keys: Sequence[Any]) -> Iterator[StoredRecord]:
        for batch in batches(keys, _PAGE):
            for raw in self._server.use(_documents, collection, batch):
                yield _OldRecord(str(raw[ID]), bytes(raw.raw), b"", self._server.where, collection)

    def _read_only(self) -> ResultsDBError:
        return ResultsDBError(
            "the results of the predecessor can only be read.",
            where=self._server.where,
            remedy="Copy them: lume-services results copy --from predecessor.yaml --to STORE.",
        )


@dataclass(slots=True)
class _OldRecord(StoredRecord):
    """A result as the predecessor stored it; the text is its BSON."""

    collection: str

    @property
    @override
    def is_plain(self) -> bool:
        return False

    @override
    def document(self) -> dict[str, Any]:
        try:
            old = decode(self.text, _UTC)
            return {ID: self.id, **_converted(old, self.id), "project_name": self.collection}
        except _UNREADABLE as error:
            raise ResultCorruptError(
                f"record {self.id} cannot be read: {error}",
                where=f"{self.where}, collection {self.collection!r}",
                ids=[self.id],
            ) from error


def _converted(old: Tree, record_id: str) -> dict[str, Any]:
    """Return the document of the `Result` that a document of the predecessor stands for."""
    missing = [name for name in _FIELDS if name not in old]
    if missing:
        raise DecodeError(f"this is no result of the predecessor: it has no {', '.join(missing)}.")
    values: dict[str, Any] = {
        name: _value(item, Trail(name, DecodeError)) for name, item in old.items() if name not in _NOT_KEPT
    }
    values[DATE_MODIFIED] = _moment(values[DATE_MODIFIED])
    values["unique_on"] = _UNIQUE_ON
    values["result_type_string"] = _class_name(values["result_type_string"])
    values["provenance"] = {PROVENANCE: {"id": record_id, UNIQUE_HASH: values[UNIQUE_HASH]}}
    values[UNIQUE_HASH] = hash_of({path: values[path] for path in _UNIQUE_ON})
    return {
        name: _file(value) if isinstance(value, dict) and value.keys() == _FILE else encode(value, where=name)
        for name, value in values.items()
    }


def _value(node: Any, trail: Trail) -> Any:
    """Return a value of BSON as plain Python, with the arrays in it."""
    if isinstance(node, Mapping):
        trail.enter(node)
        found = {}
        for key, item in node.items():
            trail.steps.append(key)
            found[key] = _value(item, trail)
            trail.steps.pop()
        trail.leave(node)
        return found
    if isinstance(node, list):
        return [_value(item, trail) for item in node]
    if isinstance(node, bytes):
        try:
            return read_pickled_array(bytes(node))
        except DecodeError as error:
            raise trail.fail(error.message, error.remedy) from error
    if isinstance(node, int) and not isinstance(node, bool):
        return int(node)  # BSON's Int64 is a subclass
    return node


def _moment(found: Any) -> datetime:
    moment = datetime.fromisoformat(found) if isinstance(found, str) else found
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _class_name(old: str) -> str:
    """Return `package.module:Class` for what was `package.module.Class`."""
    module, _, name = old.replace(":", ".").rpartition(".")
    return _CLASSES.get(f"{module}:{name}", f"{module}:{name}")


def _file(old: dict[str, Any]) -> dict[str, Any]:
    kind = old["file_type_string"]
    handle = {**old, "file_type_string": _SERIALIZERS.get(kind, kind), "checksum": None, "size": None}
    return {TYPE: "lume_services.files.File", "handle": True, **handle}


# each of these may be done twice, if the connection was lost ------------------------------------------


def _with_results(database: Database[Tree]) -> list[str]:
    names = [name for name in database.list_collection_names() if not name.startswith(_OTHERS)]
    return sorted(name for name in names if database[name].find_one(_RESULT, {ID: 1}) is not None)


def _all_keys(database: Database[Tree], collection: str) -> list[Any]:
    return [found[ID] for found in database[collection].find({}, {ID: 1}).sort(ID)]


def _documents(database: Database[Tree], collection: str, keys: Sequence[Any]) -> list[RawBSONDocument]:
    records = database.get_collection(collection).with_options(CodecOptions(document_class=RawBSONDocument))
    found: Any = records.find({ID: {"$in": list(keys)}}).sort(ID)
    return list(found)
