"""The `hdf5` store: every result is a file that h5py and HDFView open without us.

    <collection>/ab/abcd….h5   one result, named by its unique hash; see `hdf5_record`
    index.sqlite               what the files hold, for queries; see `hdf5_index`
    .unfinished/               files being written

Any number of processes and threads of one machine may use the folder at once. A result is stored if its
file is there: it is written under another name, then linked, which fails if there is a file of that name.
That happens within the transaction that tells the index, so what was acknowledged is in both. A writer that
is killed in between leaves a whole file that the index does not know. Inserting the same result again gives
the id of that file, and `reindex` takes it in. An index that is gone is made anew from the files when the
store is next used.

A record is read from the index as long as its file has the size and time that the index knows. A file that is
gone is a deleted result, and one that was changed is read itself, and verified. Files may be copied into
the folder: `reindex` takes them in.

Every file stands alone, so equal arrays of several results are stored several times; those of one result too.

The loss of power may damage the last files, unless `durability` is "power". What `file` says about network
file systems holds here too; and the file system must have hard links.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from typing_extensions import override

from lume_services.errors import BlobCorruptError, ResultsDBError
from lume_services.services.results.base import Reindexed, ResultsDB, Scan
from lume_services.services.results.folder.durable import explained
from lume_services.services.results.hdf5.arrays import ArrayReader
from lume_services.services.results.hdf5.folder import RecordFolder, signature_of
from lume_services.services.results.hdf5.index import FileIndex, RecordFile
from lume_services.services.results.hdf5.record import Compression, Storage, write_record
from lume_services.services.results.query.selection import Selection
from lume_services.services.results.record import Record, StoredRecord
from lume_services.values.blobs import BlobReader
from lume_services.values.codec import DEFAULT_THRESHOLD

logger = logging.getLogger(__name__)

_ATTEMPTS = 10


class Hdf5ResultsDB(ResultsDB):
    """A results store in a folder, one HDF5 file for each result.

    Args:
        path: The folder; made when the store is first used.
        blob_threshold: Arrays of at least this many bytes are read when they are used, not with the record.
            The settings of compression and chunks are for these.
        durability: What an insert that has returned survives: the end of the `process`, by whatever signal,
            or also the loss of `power`, which costs flushes of the disk each time.
        compression: Of arrays.
        compression_level: Of gzip, from 0 (quick) to 9 (small).
        shuffle: Sort the bytes of the elements by their place before compression.
        chunk_bytes: About how many bytes a chunk of an array has. None means that arrays lie in one piece,
            which is fastest; compressed ones are in chunks of 1 MiB then.
    """

    def __init__(
        self,
        path: str | Path,
        blob_threshold: int = DEFAULT_THRESHOLD,
        *,
        durability: Literal["process", "power"] = "process",
        compression: Compression = "none",
        compression_level: int = 4,
        shuffle: bool = False,
        chunk_bytes: int | None = None,
    ) -> None:
        super().__init__(blob_threshold=blob_threshold)
        self.path = Path(path).expanduser().absolute()
        self._durable = durability == "power"
        self._storage = Storage(compression, compression_level, shuffle, chunk_bytes)
        self._folder = RecordFolder(self.path, durable=self._durable)
        self._files = FileIndex(self.path / "index.sqlite", self._folder, durable=self._durable)

    def __repr__(self) -> str:
        return f"Hdf5ResultsDB({str(self.path)!r})"

    @override
    def collections(self) -> list[str]:
        return [
            name
            for name in self._index.collections()
            if any(self._folder.signature(file) for file in self._index.names(name))
        ]

    @override
    def configure(self, indices: Mapping[str, Sequence[str]]) -> None:
        for collection, paths in indices.items():
            for path in paths:
                with self._index.database.writing() as connection:
                    self._index.add_index(connection, collection, path)

    @override
    def reindex(self) -> Reindexed:
        self._files.move_aside_if_damaged()
        made = self._make_index()
        index = self._index
        added, damaged = made or index.take_in(self._folder.names())
        forgotten = index.forget_gone()
        with index.database.writing() as connection:
            index.rebuild(connection)
        messages = {str(self._folder.file(name)): error.message for name, error in damaged.items()}
        return Reindexed(added, forgotten, self._folder.remove_abandoned(), messages)

    @override
    def close(self) -> None:
        self._files.database.close()

    # inserting ------------------------------------------------------------------------------------

    @override
    def _ids(self, collection: str, hashes: Sequence[str]) -> dict[str, str]:
        names = {self._folder.name(collection, unique_hash): unique_hash for unique_hash in hashes}
        return {names[name]: record_id for name, record_id in self._index.ids_of(names).items()}

    @override
    def _insert(self, collection: str, records: Sequence[Record]) -> dict[str, str]:
        written: dict[str, Path] = {}
        try:
            for record in records:
                with explained(self.path):
                    written[record.id] = file = self._folder.new_file()
                    write_record(file, record, collection, self._storage)
                    self._folder.flush(file)
            return self._settle(collection, records, written)
        finally:
            for file in written.values():
                file.unlink(missing_ok=True)

    def _settle(
        self, collection: str, records: Sequence[Record], written: Mapping[str, Path]
    ) -> dict[str, str]:
        """Give written files their names; return the ids of the records that have them then."""
        ids: dict[str, str] = {}
        for _ in range(_ATTEMPTS):
            missing = [record for record in records if record.unique_hash not in ids]
            ids |= self._link(collection, missing, written)
            unknown = [record.unique_hash for record in missing if record.unique_hash not in ids]
            if not unknown:
                return ids
            _, damaged = self._index.take_in(self._folder.name(collection, one) for one in unknown)
            for error in damaged.values():
                raise error  # the others are stored
        raise ResultsDBError(
            "another process keeps changing the files of results while they are stored.",
            where=str(self.path),
            remedy="Insert again when it has ended.",
        )

    def _link(
        self, collection: str, records: Sequence[Record], written: Mapping[str, Path]
    ) -> dict[str, str]:
        """Give files their names, where these are free; return the ids that the index has for them then."""
        names = {self._folder.name(collection, record.unique_hash): record for record in records}
        index = self._index
        linked: list[str] = []
        try:
            with index.database.writing() as connection:
                for name, record in names.items():
                    file = written[record.id]
                    signature = signature_of(file)
                    if signature is not None and self._folder.link(file, name):
                        linked.append(name)
                        index.put(connection, RecordFile(name, signature, collection, record))
                found = index.ids_of(names)
        except BaseException:
            self._take_back(linked)
            raise
        return {names[name].unique_hash: record_id for name, record_id in found.items()}

    def _take_back(self, names: Sequence[str]) -> None:
        """Remove files that the index was not told of, unless another process has told it meanwhile."""
        try:
            with self._files.database.writing():
                known = self._files.ids_of(names)
                for name in names:
                    if name not in known:
                        self._folder.remove(name)
        except ResultsDBError as error:
            logger.warning("These files may hold results of an insert that failed: %s. %s", names, error)

    # reading --------------------------------------------------------------------------------------

    @override
    def _scan(self, collection: str, selection: Selection) -> Scan:
        return self._index.scan(collection, selection)

    @override
    def _named(self, collection: str, name: str, text: str) -> Iterator[StoredRecord]:
        return self._index.named(collection, name, text)

    @override
    def _fetch(self, collection: str, ids: Sequence[str]) -> Iterator[StoredRecord]:
        return self._index.fetch(collection, ids)

    @override
    def _count(self, collection: str) -> int:
        names = set(self._folder.names(collection))
        return sum(name in names for name in self._index.names(collection))

    @override
    def _delete(self, collection: str, ids: Sequence[str]) -> int:
        deleted = 0
        index = self._index
        with index.database.writing() as connection:
            for name in filter(None, map(index.name_of, ids)):
                deleted += self._folder.remove(name)
                index.forget(connection, name)
        return deleted

    @override
    def _open_blob(self, digest: str, record_id: str) -> BlobReader:
        name = self._index.name_of(record_id)
        if name is None:
            raise BlobCorruptError(
                "the record was deleted.", where=f"record {record_id}, {self.path}", record_id=record_id
            )
        return ArrayReader(digest, self._folder.file(name), record_id)

    @property
    def _index(self) -> FileIndex:
        """The index, made from the files if it is gone."""
        self._make_index()
        return self._files

    def _make_index(self) -> tuple[int, dict[str, ResultsDBError]] | None:
        """Make the index from the files, unless it is there; return what `FileIndex.take_in` returns."""
        path = self._files.database.path
        names = [] if path.exists() else self._folder.names()
        if not names:
            return None
        logger.warning("%s is gone. It is made anew from %d files.", path, len(names))
        with explained(self.path):
            unfinished = self._folder.new_file(path.suffix)
            new = FileIndex(unfinished, self._folder, durable=self._durable)
            try:
                found = new.take_in(names)
                new.database.close()
                if not self._files.database.place(unfinished):
                    return None  # another process was quicker
            finally:
                unfinished.unlink(missing_ok=True)
        for error in found[1].values():
            logger.warning("A file is left out: %s", error)
        return found
