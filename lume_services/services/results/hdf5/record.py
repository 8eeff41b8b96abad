"""One result as one HDF5 file, which h5py and HDFView open without us.

    /                     attributes lume_format, lume_collection, lume_id, lume_digest
    /inputs, /outputs …   the item: dicts are groups, arrays are datasets, plain values scalar datasets
    /%checksums/<digest>  for each array that is read lazily: the SHA-256 digests of its chunks, and in the
                          attribute `array` a reference to its dataset

The item lies there as `values.hdf5` lays out values, but from the document that the codec made of it. So it
can be read, queried and indexed where its types are not registered, and comes back exactly: `lume_digest` is
that of collection, id and document text, and the document holds the digests of the lazy arrays.

What is read is not trusted. Beside what `values.hdf5_guard` refuses: all values that are read at once must
find room in the bytes of the file, all arrays that are read lazily in 1100 times as many, or 256 MiB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from lume_services.errors import DecodeError, ResultCorruptError, ResultsDBError
from lume_services.services.results.folder.durable import explain_os_error, explained
from lume_services.services.results.record import DATE_MODIFIED, UNIQUE_HASH, Record, date_of
from lume_services.values.blobs import Blob
from lume_services.values.codec import TYPE, TYPES, decode, encode, types_beside
from lume_services.values.document import dumps, loads
from lume_services.values.dtypes import describe, restore
from lume_services.values.hdf5_guard import Guard, text_of
from lume_services.values.hdf5_layout import (
    KIND,
    LIST,
    SINGLE,
    VALUE,
    dtype_of,
    is_native,
    make_group,
    member_key,
    member_name,
    read_plain,
    set_text,
    write_array,
    write_bytes,
    write_plain,
)
from lume_services.values.hdf5_sink import new_file
from lume_services.values.trail import Trail

_FORMAT = "lume_format"
_CHECKSUMS = "%checksums"  # no key has this name: its percent sign would be written %25
_ARRAY = "array"

_VERSION = "result 1"
_COLLECTION = "lume_collection"
_ID = "lume_id"
_DIGEST = "lume_digest"
_DIGEST_BYTES = 32
_MAX_DEPTH = 260  # a document has 250 at most
_CHUNK_BYTES = 1 << 20
_LAZY_RATIO = 1100  # a little more than gzip can do
_RESTORE = "Restore the file from a backup, or move it away and call reindex."

Compression = Literal["none", "gzip", "lzf"]


@dataclass(frozen=True)
class Storage:
    """How the arrays that are read lazily are stored; all others lie whole and as they are.

    Attributes:
        compression: The filter.
        level: Of gzip, from 0 (quick) to 9 (small).
        shuffle: Sort the bytes of the elements by their place before, so that they shrink more.
        chunk_bytes: About how many bytes one chunk has; None for no chunks, or of 1 MiB if compressed.
    """

    compression: Compression = "none"
    level: int = 4
    shuffle: bool = False
    chunk_bytes: int | None = None

    def of(self, array: NDArray[Any]) -> dict[str, Any]:
        """Return the arguments of h5py for an array."""
        if not array.ndim or not array.size or (self.compression == "none" and self.chunk_bytes is None):
            return {}
        options: dict[str, Any] = {"chunks": _chunks(array, self.chunk_bytes or _CHUNK_BYTES)}
        if self.compression != "none":
            options |= {"compression": self.compression, "shuffle": self.shuffle}
        if self.compression == "gzip":
            options["compression_opts"] = self.level
        return options


def _chunks(array: NDArray[Any], nbytes: int) -> tuple[int, ...]:
    """Return the shape of chunks that are whole along the last axes."""
    room = max(1, nbytes // array.itemsize)
    shape = []
    for length in reversed(array.shape):
        shape.append(min(length, max(1, room)))
        room //= length
    return tuple(reversed(shape))


# writing ------------------------------------------------------------------------------------------


def write_record(path: Path, record: Record, collection: str, storage: Storage) -> None:
    """Write a record to a new file.

    Raises:
        ResultsDBError: It cannot be written.
    """
    try:
        with explained(path), new_file(path) as file:
            set_text(file, _FORMAT, _VERSION)
            set_text(file, _COLLECTION, collection)
            set_text(file, _ID, record.id)
            set_text(file, _DIGEST, _seal(collection, record.id, record.text))
            _Writer(file, record.blobs, storage).members(file, record.document)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ResultsDBError(
            f"HDF5 cannot hold record {record.unique_hash}: {error}.",
            where=str(path),
            remedy="Give long keys shorter names, or use the store of type file.",
        ) from error


def _seal(collection: str, record_id: str, text: bytes) -> str:
    return hashlib.sha256("\n".join((collection, record_id, "")).encode() + text).hexdigest()


class _Writer:
    """Writes a document, with its blobs as the arrays that they are."""

    def __init__(self, file: h5py.File, blobs: Mapping[str, Blob], storage: Storage) -> None:
        self._file = file
        self._blobs = blobs
        self._storage = storage

    def members(self, group: h5py.Group, document: Mapping[str, Any]) -> None:
        types = document.get(TYPES, {})
        for key, node in document.items():
            if key in types:
                self._node(group, member_name(key), {**types[key], VALUE: node})
            elif key != TYPES:
                self._node(group, member_name(key), node)

    def _node(self, parent: h5py.Group, name: str, node: Any) -> None:
        if type(node) is dict and TYPE in node:
            self._tagged(parent, name, node)
        elif type(node) is dict:
            self.members(make_group(parent, name), node)
        elif not write_plain(parent, name, node):
            group = make_group(parent, name, LIST)
            for index, item in enumerate(node):
                self._node(group, str(index), item)

    def _tagged(self, parent: h5py.Group, name: str, node: dict[str, Any]) -> None:
        if node[TYPE] == "blob":
            data = np.frombuffer(self._blobs[node["digest"]].buffer, np.uint8)
            self._blob(write_bytes(parent, name, data, **self._storage.of(data)), node)
        elif _is_array(node):
            self._array(parent, name, node)
        else:
            group = make_group(parent, name, node[TYPE])
            if node.keys() == {TYPE, VALUE}:
                set_text(group, SINGLE, "")
                self._node(group, VALUE, node[VALUE])
            else:
                self.members(group, {key: part for key, part in node.items() if key != TYPE})

    def _array(self, parent: h5py.Group, name: str, node: dict[str, Any]) -> None:
        data = node.get("data")
        if type(data) is not dict:
            write_array(parent, name, decode(node))
            return
        array = np.ndarray(node["shape"], restore(node["dtype"]), self._blobs[data["digest"]].buffer)
        self._blob(write_array(parent, name, array, **self._storage.of(array)), data)

    def _blob(self, dataset: h5py.Dataset, node: dict[str, Any]) -> None:
        digest = node["digest"]
        set_text(dataset, _DIGEST, digest)
        if _CHECKSUMS not in self._file:
            make_group(self._file, _CHECKSUMS)
        blobs = self._file[_CHECKSUMS]
        if digest not in blobs:
            chunks = np.frombuffer(self._blobs[digest].chunks, np.uint8).reshape(-1, _DIGEST_BYTES)
            write_array(blobs, digest, chunks).attrs[_ARRAY] = dataset.ref


def _is_array(node: dict[str, Any]) -> bool:
    """Tell whether one dataset holds all of an array, or of a NumPy scalar."""
    scalar = node[TYPE] == "numpy" and type(node.get("data")) is not dict
    return (scalar or node[TYPE] == "ndarray") and is_native(restore(node["dtype"]))


# reading ------------------------------------------------------------------------------------------


def read_record(path: Path) -> tuple[str, Record]:
    """Return the collection and the record of a file, without the bytes of its lazy arrays.

    Raises:
        FileNotFoundError: There is no such file.
        ResultCorruptError: It is damaged, or not a result.
        ResultsDBError: It cannot be read.
    """
    with opened(path) as file:
        collection, record_id = text_of(file, _COLLECTION), text_of(file, _ID)
        text = dumps(_Reader(path.stat().st_size).document(file)).encode()
        document: Any = loads(text.decode(), encoded=True)
        unique_hash, moment = document.get(UNIQUE_HASH), date_of(document)
        if not collection or not record_id or _seal(collection, record_id, text) != text_of(file, _DIGEST):
            raise corrupt(path, "its content does not match its digest")
    if not isinstance(unique_hash, str) or not isinstance(moment, datetime | None):
        raise corrupt(path, f"its {UNIQUE_HASH} is not a text, or its {DATE_MODIFIED} not a datetime")
    digest = hashlib.sha256(text).digest()
    return collection, Record(record_id, unique_hash, moment, document, text, digest, {})


def read_id(path: Path) -> str:
    """Return the id of a record, by which records sort in the order of insertion; unverified.

    Raises:
        ResultCorruptError: It is no file of ours; other errors are those of `read_record`.
    """
    with opened(path) as file:
        return text_of(file, _ID) or ""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open the file of a record to read it, and turn what HDF5 says of it into errors for the user.

    Raises:
        FileNotFoundError: There is no such file.
        ResultCorruptError: It is damaged, or not a result.
        ResultsDBError: It cannot be read.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            _check_format(path, text_of(file, _FORMAT))
            yield file
    except (FileNotFoundError, ResultsDBError):
        raise
    except DecodeError as error:
        raise corrupt(path, f"{error.where}: {error.message.rstrip('.')}") from error
    except OSError as error:
        if error.errno is not None:
            raise explain_os_error(error, path) from error
        raise corrupt(path, f"HDF5 says: {error}") from error
    except Exception as error:
        raise corrupt(path, f"it is not laid out as a result: {error!r}") from error


def lazy_array(file: h5py.File, digest: str) -> tuple[h5py.Dataset, h5py.Dataset]:
    """Return the dataset of a lazy array, and the one of the digests of its chunks; within `opened`."""
    trail = Trail("file", DecodeError)
    guard = Guard(trail, file.id.get_filesize(), _LAZY_RATIO)
    checksums = guard.child(guard.child(file, _CHECKSUMS), digest)
    reference = checksums.attrs[_ARRAY]
    if not isinstance(reference, h5py.Reference):
        raise trail.fail("this does not refer to an array of the file.")
    found = file[reference], checksums
    for dataset in found:
        if not isinstance(dataset, h5py.Dataset):
            raise trail.fail(f"the array {digest} is not there.")
        guard.check(dataset)
    return found


def _check_format(path: Path, found: str | None) -> None:
    if found is None:
        raise corrupt(path, "this is not a result of LUME-services")
    if found != _VERSION:
        raise corrupt(
            path,
            f"this result has format {found!r}; this version of LUME-services knows {_VERSION!r}",
            remedy="Use the version of LUME-services that wrote it, or move it away.",
        )


def corrupt(path: Path, what: str, *, remedy: str = _RESTORE) -> ResultCorruptError:
    """Return the error for a file that is not a whole result."""
    return ResultCorruptError(f"{what}.", where=str(path), remedy=remedy, path=path)


class _Reader:
    """Reads the document of a file again, as the codec made it.

    Args:
        room: How many bytes the values may take that are read at once.
    """

    def __init__(self, room: int) -> None:
        self._trail = Trail("file", DecodeError, limit=_MAX_DEPTH)
        self._room = room
        self._guard = Guard(self._trail, room, _LAZY_RATIO)

    def document(self, file: h5py.File) -> dict[str, Any]:
        """Return the document of a record: of each member what the codec made of it alone."""
        return self._members(file, [name for name in file if name != _CHECKSUMS])

    def _members(self, group: h5py.Group, names: Iterable[str]) -> dict[str, Any]:
        self._trail.enter(group)
        members = {}
        for name in names:
            key = member_key(name)
            self._trail.steps.append(key)
            node = self._guard.child(group, name)
            members[key] = self._group(node) if isinstance(node, h5py.Group) else self._dataset(node)
            self._trail.steps.pop()
        self._trail.leave(group)
        return members

    def _group(self, group: h5py.Group) -> Any:
        kind = text_of(group, KIND)
        members = self._members(group, group)
        if kind is None:
            return types_beside(members)
        if kind == LIST:
            return [members[str(index)] for index in range(len(members))]
        if SINGLE in group.attrs:
            return {TYPE: kind, VALUE: members[VALUE]}
        return {TYPE: kind, **types_beside(members)}

    def _dataset(self, dataset: h5py.Dataset) -> Any:
        digest = text_of(dataset, _DIGEST)
        if digest is None:
            return self._plain(dataset)
        self._guard.check(dataset)
        blob = {TYPE: "blob", "digest": digest, "nbytes": dataset.nbytes}
        if text_of(dataset, KIND) == "bytes":
            return blob
        dtype = describe(dtype_of(dataset, self._trail))
        return {TYPE: "ndarray", "dtype": dtype, "shape": list(dataset.shape), "data": blob}

    def _plain(self, dataset: h5py.Dataset) -> Any:
        if dataset.dtype.hasobject:
            raise self._trail.fail(f"elements of type {dataset.dtype} lie elsewhere in the file.")
        self._room -= dataset.nbytes if dataset.shape is not None else 0
        if self._room < 0:
            raise self._trail.fail("the values claim to be larger than the file.")
        found = read_plain(dataset, self._guard, self._trail)
        return encode(found) if isinstance(found, np.ndarray | np.generic) else found
