"""One SQLite file: made in one step, one connection per process, errors that say what to do."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lume_services.errors import ResultsDBError
from lume_services.services.results.folder.durable import explain_os_error, locked

_BUSY_SECONDS = 60
_FROZEN = "immutable=1"
_WITH_LOG = b"\2\2"  # the versions of the format that a writer and a reader must know

# File systems that several machines may share: SQLite's write-ahead log needs shared memory and fails there.
_SHARED_FILESYSTEMS = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "orangefs",
        "panfs", "smb3", "smbfs", "virtiofs", "wekafs",
    }
)  # fmt: skip

_ANOTHER_FOLDER = "or choose another folder for the results store."
_PERMISSION = f"Ask for the permission to read and write it and its folder, {_ANOTHER_FOLDER}"
_NOT_OURS = f"Move it away, {_ANOTHER_FOLDER}"
_REMEDIES = {
    sqlite3.SQLITE_BUSY: "Another process has kept it locked for a minute; wait for it, or stop it.",
    sqlite3.SQLITE_CANTOPEN: _PERMISSION,
    sqlite3.SQLITE_FULL: "Free some space on its disk, or raise your quota.",
    sqlite3.SQLITE_IOERR: "Check its disk: is there space left, does the file system work and allow locks?",
    sqlite3.SQLITE_NOTADB: _NOT_OURS,
    sqlite3.SQLITE_PERM: _PERMISSION,
    sqlite3.SQLITE_PROTOCOL: f"Its file system does not lock files; mount it with locks, {_ANOTHER_FOLDER}",
    sqlite3.SQLITE_READONLY: _PERMISSION,
}


@dataclass(frozen=True)
class Format:
    """What marks a file as ours.

    Attributes:
        application_id: Identifies the program.
        version: Of the schema.
        schema: The SQL that makes the tables.
        restore: What to do about a damaged file.
    """

    application_id: int
    version: int
    schema: str
    restore: str


class Database:
    """A SQLite file, opened at first use.

    It has one connection per process, which its threads take in turn. SQLite must have none open when the
    process forks, because it keeps the state of its file locks in memory. So each is closed before a fork;
    parent and child open their own when they need it.

    A file that may only be read is read without the locks that SQLite would write: as it is, where nobody
    has it open to write, and otherwise with what the writers share.

    Args:
        path: The file; made with its folder when it is first used.
        layout: The format that the file has, or gets.
        durable: Whether a commit survives the loss of power, not only the end of the process.
    """

    def __init__(self, path: Path, layout: Format, *, durable: bool) -> None:
        self.path = path
        self._name = str(path)
        self._layout = layout
        self._durable = durable
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._closer: weakref.finalize[[], Database] | None = None
        self._frozen = False
        self._state: tuple[int, ...] | None = None
        _databases.add(self)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Have the connection for some statements that read.

        Raises:
            ResultsDBError: The file cannot be read.
        """
        with self._lock, self._explained():
            yield self._connected()
            self._check_frozen()

    def rows(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows that a statement reads.

        Raises:
            ResultsDBError: The file cannot be read.
        """
        with self._lock:
            try:
                found = self._connected().execute(statement, parameters).fetchall()
            except (sqlite3.Error, OSError) as error:
                raise self._explain(error) from error
            self._check_frozen()
            return found

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Have the connection for one transaction, which ends with the block: all of it or nothing.

        Raises:
            ResultsDBError: The file cannot be written.
        """
        with self._lock, self._explained():
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock, self._explained():
            self._disconnect()

    def move_aside(self) -> None:
        """Give the file another name; the next use makes a new one.

        Raises:
            ResultsDBError: It cannot be done.
        """
        with self._lock, self._explained():
            self._disconnect()
            self.path.replace(self.path.with_name(f"{self.path.name}.damaged"))

    def place(self, complete: Path) -> bool:
        """Give a complete file its name, unless there is one; return whether it was given.

        What SQLite left of an earlier file of that name would be taken for a part of this one.

        Raises:
            OSError: It cannot be done.
        """
        with self._lock, locked(self.path.parent):
            if self.path.exists():
                return False
            for suffix in ("-journal", "-wal", "-shm"):
                self.path.with_name(f"{self.path.name}{suffix}").unlink(missing_ok=True)
            complete.replace(self.path)
            return True

    def before_fork(self) -> None:
        """Wait for the other threads to be done, keep them off, and close the connection."""
        self._lock.acquire()
        self._disconnect()

    def after_fork_in_parent(self) -> None:
        """Let the other threads go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: the threads that may wait for the lock are not in this process."""
        self._lock = threading.RLock()

    def _disconnect(self) -> None:
        if self._closer is not None:
            self._closer()
        self._connection = self._closer = None

    def _connected(self) -> sqlite3.Connection:
        if self._state != self._look():
            # Someone removed or replaced the file: what is written to the old one would be lost.
            self._disconnect()
        if self._connection is None:
            if not self.path.exists():
                self._create()
            connection = sqlite3.connect(
                f"{self.path.as_uri()}?{self._mode()}",
                uri=True,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                self._check(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            self._closer = weakref.finalize(self, connection.close)
            self._state = self._look()
        return self._connection

    def _mode(self) -> str:
        """Return how SQLite is to open the file. In the last way it takes no locks, and may only read."""
        if self._writable:
            mode = "mode=rw"
        elif self._has_log or not self._keeps_log:
            mode = "mode=ro"
        else:
            mode = _FROZEN
        self._frozen = mode == _FROZEN
        return mode

    @property
    def _writable(self) -> bool:
        return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)

    @property
    def _has_log(self) -> bool:
        """Whether there is a write-ahead log: a process has the file open to write, or was killed then."""
        return self.path.with_name(f"{self.path.name}-wal").exists()

    @property
    def _keeps_log(self) -> bool:
        """Whether writers use a write-ahead log; the header of the file tells."""
        with self.path.open("rb") as file:
            return file.read(20)[18:] == _WITH_LOG

    def _look(self) -> tuple[int, ...] | None:
        """Return what changes when the connection is not good any more; None if there is no file."""
        try:
            found = os.stat(self._name)  # noqa: PTH116 - asked at every call, and twice as fast
        except FileNotFoundError:
            return None
        if self._frozen:
            return found.st_ino, found.st_size, found.st_mtime_ns, self._has_log
        return (found.st_ino,)

    def _check_frozen(self) -> None:
        if self._frozen and self._state != self._look():
            raise ResultsDBError(
                "another process began to write while this one read.",
                where=str(self.path),
                remedy="Read again.",
            )

    def _create(self) -> None:
        """Make the file elsewhere and give it its name when it is complete: no process sees half of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}")
        try:
            # SQLite would make it 0644, whatever the umask is; its other files get the mode of this one.
            unfinished.touch(0o666, exist_ok=False)
            connection = sqlite3.connect(unfinished, isolation_level=None)
            try:
                mode = "DELETE" if is_shared(self.path.parent) else "WAL"
                connection.execute(f"PRAGMA journal_mode = {mode}")
                connection.execute(f"PRAGMA application_id = {self._layout.application_id}")
                connection.execute(f"PRAGMA user_version = {self._layout.version}")
                connection.executescript(self._layout.schema)
            finally:
                connection.close()
            self.place(unfinished)
        finally:
            unfinished.unlink(missing_ok=True)

    def _check(self, connection: sqlite3.Connection) -> None:
        [found] = connection.execute("PRAGMA application_id").fetchone()
        if found != self._layout.application_id:
            raise ResultsDBError(
                "this SQLite file is not a results store.",
                where=str(self.path),
                remedy=_NOT_OURS,
            )
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if version != self._layout.version:
            raise ResultsDBError(
                f"this results store has format {version}; this version of LUME-services knows format "
                f"{self._layout.version}.",
                where=str(self.path),
                remedy="Use the version of LUME-services that wrote it, or another folder.",
            )
        [mode] = connection.execute("PRAGMA journal_mode").fetchone()
        if mode == "wal" and self._writable and is_shared(self.path.parent):
            connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._explain(error) from error

    def _explain(self, error: sqlite3.Error | OSError) -> ResultsDBError:
        if isinstance(error, OSError):
            return explain_os_error(error, self.path)
        code = getattr(error, "sqlite_errorcode", None) or 0
        damaged = code & 0xFF == sqlite3.SQLITE_CORRUPT
        remedy = self._layout.restore if damaged else _REMEDIES.get(code & 0xFF)
        return ResultsDBError(f"SQLite says: {error}.", where=str(self.path), remedy=remedy, code=code)


def is_shared(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Tell whether a folder lies on a file system that several machines may share.

    Args:
        folder: The folder.
        mounts: Where the system lists what is mounted; without that list the answer is no.
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return False
    place = folder.resolve()
    kinds = {}
    for line in lines:
        _, point, kind, *_ = line.split(" ")
        kinds[Path(point.replace("\\040", " "))] = kind
    kind = next((kinds[above] for above in (place, *place.parents) if above in kinds), "")
    return kind in _SHARED_FILESYSTEMS or kind.startswith("fuse")


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_held: list[Database] = []


def _before_fork() -> None:
    for database in sorted(_databases, key=id):  # in one order, so that two forks do not wait for each other
        database.before_fork()
        _held.append(database)


def _take_held() -> list[Database]:
    taken = _held.copy()
    _held.clear()  # before the first is let go: then another thread may begin to fork
    return taken


def _after_fork_in_parent() -> None:
    for database in _take_held():
        database.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for database in _take_held():
        database.after_fork_in_child()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
