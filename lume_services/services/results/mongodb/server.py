"""The MongoDB server of a results store: one client per process, and errors that say what to do."""

from __future__ import annotations

import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, TypeVar
from urllib.parse import parse_qsl

from bson.codec_options import CodecOptions, DatetimeConversion
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from lume_services.errors import ResultsDBError, StoreUnavailableError
from lume_services.values.secret import MASK, may_be_secret, without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database

Tree: TypeAlias = dict[str, Any]
T = TypeVar("T")
P = ParamSpec("P")

_PAUSE_SECONDS = 0.1
_HOSTS = re.compile(r"[\w.,:\[\]-]+")
# What others wrote must not make a whole page unreadable.
_TOLERANT: CodecOptions[Tree] = CodecOptions(
    tz_aware=True,
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
_UNAUTHORIZED = 13
_FAULTS_OF_THE_SERVER = {1, 14031}  # internal error, out of disk space
_AUTHENTICATION_FAILED = 18


class MongoServer:
    """A database on a MongoDB server, reached at first use.

    It has one client per process, which its threads share. After a fork, the child makes its own. Nothing
    that it raises, logs or shows holds a password.

    Args:
        uri: Connection string, in the place of `host`, `port`, `username`, `password` and `authmechanism`.
        host: Name of the server.
        port: Of the server.
        username: None means no authentication.
        password: Of the user.
        database: Name of the database.
        authmechanism: As the driver names it.
        options: Further options of the driver. They are stronger than what is set here.
        timeout_seconds: How long to wait for a server that is away, and for each of its answers.
    """

    def __init__(
        self,
        *,
        uri: str | SecretStr | None,
        host: str,
        port: int,
        username: str | None,
        password: str | SecretStr | None,
        database: str,
        authmechanism: str,
        options: Mapping[str, Any],
        timeout_seconds: float,
    ) -> None:
        self._uri = _secret(uri)
        self._password = _secret(password)
        self._username = username
        self._name = database
        self._timeout_seconds = timeout_seconds
        self._options = {
            **_defaults(timeout_seconds, {*options, *_options_in(self._uri)}),
            **options,
        }
        self._address: Mapping[str, Any] = {"host": host, "port": port}
        if uri is None and username is not None:
            self._address = {**self._address, "username": username, "authMechanism": authmechanism}
        hosts = f"{host}:{port}" if self._uri is None else _hosts(self._uri)
        self.where = f"mongodb://{hosts}/{database}"
        self._lock = threading.Lock()
        self._database: Database[Tree] | None = None
        self._closer: weakref.finalize[[], MongoServer] | None = None
        _servers.add(self)

    def use(self, work: Callable[Concatenate[Database[Tree], P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do some work with the database, and again from its beginning when the connection is lost.

        Args:
            work: May be done twice: what it writes is the same then.
            *args: Of the work, after the database.
            **kwargs: Of the work.

        Raises:
            StoreUnavailableError: The server was away for longer than the time-out.
            ResultsDBError: It refuses the work.
        """
        deadline = time.monotonic() + self._timeout_seconds
        while True:
            try:
                with self._explained():
                    return work(self._connected(), *args, **kwargs)
            except StoreUnavailableError:
                if time.monotonic() + _PAUSE_SECONDS >= deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        """Close the client; the next use opens another."""
        with self._lock:
            if self._closer is not None:
                self._closer()
            self._database = self._closer = None

    def forget(self) -> None:
        """Leave the client to the parent process: its sockets and threads are not the child's."""
        if self._database is not None:
            _of_the_parent.append(self._database)
        if self._closer is not None:
            self._closer.detach()
        self._lock = threading.Lock()  # another thread of the parent may have held it
        self._database = self._closer = None

    def _connected(self) -> Database[Tree]:
        with self._lock:
            if self._database is None:
                client = self._new_client()
                self._database = client.get_database(self._name, _TOLERANT)
                self._closer = weakref.finalize(self, client.close)
            return self._database

    def _new_client(self) -> MongoClient[Tree]:
        address = dict(self._address)
        if self._uri is not None:
            address = {"host": self._uri.get_secret_value()}
        elif self._password is not None:
            address["password"] = self._password.get_secret_value()
        try:
            client: MongoClient[Tree] = MongoClient(**address, **self._options)
        except (InvalidURI, ValueError) as error:
            if self._uri is None:
                raise ResultsDBError(self._without_secrets(str(error)), where=self.where) from None
            # The message of the driver may hold a part of the password.
            raise ResultsDBError(
                "the connection string is not valid.",
                where="results_db.uri",
                remedy="Write mongodb://user:password@host:27017/?authSource=admin; in user and password, "
                "replace special characters as urllib.parse.quote_plus does.",
            ) from None
        except (PyMongoError, TypeError) as error:
            raise ResultsDBError(
                f"the driver refuses the settings: {self._without_secrets(str(error))}.",
                where=self.where,
                remedy="Check options, authmechanism and uri.",
            ) from None
        return client

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except PyMongoError as error:
            raise self._explain(error) from None

    def _explain(self, error: PyMongoError) -> ResultsDBError:
        code = error.code if isinstance(error, OperationFailure) else None
        said = self._without_secrets(_message(error))
        if code == _AUTHENTICATION_FAILED:
            return ResultsDBError(
                f"the server does not accept the user or the password ({said}).",
                where=self.where,
                remedy="Check username, password and authmechanism, and the database that the user belongs "
                'to: options {"authSource": "admin"}.',
                code=code,
            )
        if code == _UNAUTHORIZED:
            return ResultsDBError(
                f"the user may not do this: {said}.",
                where=self.where,
                remedy=f"Grant the role readWrite on the database {self._name!r}.",
                code=code,
            )
        if isinstance(error, AutoReconnect) or error.has_error_label("RetryableWriteError"):
            return StoreUnavailableError(
                f"the server cannot be reached ({said}).",
                where=self.where,
                remedy="Check that it runs, that its disk is not full, and host and port. "
                f"It was waited for as long as timeout_seconds says: {self._timeout_seconds:g} s.",
            )
        if code in _FAULTS_OF_THE_SERVER:
            return ResultsDBError(
                f"the server has a fault ({said}).",
                where=self.where,
                remedy="Look into its log, and whether its disk is full. What was acknowledged is kept; when "
                "the server has been mended and started again, insert what failed once more.",
                code=code,
            )
        return ResultsDBError(f"MongoDB says: {said}.", where=self.where, code=code)

    def _without_secrets(self, message: str) -> str:
        given = [secret.get_secret_value() for secret in (self._password, self._uri) if secret is not None]
        given += [str(value) for name, value in self._options.items() if may_be_secret(name)]
        for secret in filter(None, given):
            message = message.replace(secret, MASK)
        return without_credentials(message).rstrip(".")


def _secret(text: str | SecretStr | None) -> SecretStr | None:
    return SecretStr(text) if isinstance(text, str) else text


def _defaults(timeout_seconds: float, given: set[str]) -> dict[str, Any]:
    """Return the options that are not given otherwise."""
    milliseconds = round(1000 * timeout_seconds)
    defaults: dict[str, Any] = {
        "appname": "lume-services",
        # Without these two a server that is killed loses what it acknowledged.
        "w": "majority",
        "journal": True,
        "connectTimeoutMS": milliseconds,
        "serverSelectionTimeoutMS": milliseconds,
        "socketTimeoutMS": milliseconds,
    }
    lower = {name.lower() for name in given} | ({"journal"} if "j" in given else set())
    return {name: value for name, value in defaults.items() if name.lower() not in lower}


def _options_in(uri: SecretStr | None) -> set[str]:
    if uri is None:
        return set()
    _, _, query = uri.get_secret_value().rpartition("?")
    return {name for name, _ in parse_qsl(query)}


def _hosts(uri: SecretStr) -> str:
    """Return the hosts of a connection string; nothing where they cannot be told from user and password."""
    text = uri.get_secret_value()
    address, _, options = text.partition("?")
    if "@" in options and "@" not in address:
        return "…"
    _, _, rest = address.removeprefix("mongodb://").removeprefix("mongodb+srv://").rpartition("@")
    hosts, _, _ = rest.partition("/")
    return hosts if _HOSTS.fullmatch(hosts) else "…"


def _message(error: PyMongoError) -> str:
    """Return what an error says, without the documents that were to be written."""
    if isinstance(error, BulkWriteError):
        details: Any = error.details or {}
        errors = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        return "; ".join(sorted({str(one.get("errmsg")) for one in errors}))
    if isinstance(error, WriteConcernError | OperationFailure):
        return str((error.details or {}).get("errmsg", error))
    return str(error).partition(", Timeout:")[0]


_servers: weakref.WeakSet[MongoServer] = weakref.WeakSet()
_of_the_parent: list[Database[Tree]] = []


def _forget_all() -> None:
    for server in list(_servers):
        server.forget()


os.register_at_fork(after_in_child=_forget_all)
