"""A real MongoDB-wire server for the tests, with authentication: SecantusDB on a free loopback port.

`LUME_TEST_MONGODB_URI` names another server to use; its user must be allowed to make databases.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from servers import ServerUnavailable, free_port, unavailable

USER = "tester"
PASSWORD = "p@ss/w:rd 100%"
QUOTED = "p%40ss%2Fw%3Ard+100%25"
START_SECONDS = 30
REMEDY = "pip install --pre SecantusDB==0.7.0b3 pymongo, or set LUME_TEST_MONGODB_URI"


class Server:
    """A server that can be killed and started again on the same data."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mongodb-server-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        try:
            self.start(auth=False)
            self._create_user()
            self.stop()
            self.start()
        except BaseException:
            self.remove()
            raise

    @property
    def uri(self) -> str:
        return f"mongodb://{USER}:{QUOTED}@127.0.0.1:{self.port}/?authSource=admin"

    def start(self, *, auth: bool = True) -> None:
        command = [
            *(sys.executable, "-m", "secantus", "--standalone", "--host", "127.0.0.1"),
            *("--port", str(self.port), "--storage-path", str(self.folder / "data"), "--cache-size", "256M"),
            *(["--auth"] if auth else []),
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        last = (self.folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
        raise ServerUnavailable(f"SecantusDB does not start here ({' '.join(last)})")

    def kill(self) -> None:
        """End it as `kill -9` does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _create_user(self) -> None:
        from pymongo import MongoClient

        with MongoClient("127.0.0.1", self.port) as client:
            client.admin.command("createUser", USER, pwd=PASSWORD, roles=["root"])


def own_server() -> Server:
    """Return a server of one test, or skip it."""
    if not all(importlib.util.find_spec(name) for name in ("secantus", "pymongo")):
        unavailable("SecantusDB is not installed", REMEDY)
    try:
        return Server()
    except ServerUnavailable as error:
        unavailable(str(error), REMEDY)


def uri() -> str:
    """Return the connection string of the server of this session, or skip the test."""
    return os.environ.get("LUME_TEST_MONGODB_URI") or _session_server().uri


def settings() -> dict[str, Any]:
    """Return the settings of a new, empty store, or skip the test."""
    database = f"lume_test_{secrets.token_hex(6)}"
    if "LUME_TEST_MONGODB_URI" in os.environ:
        atexit.register(_drop, database)
    return {"type": "mongodb", "uri": uri(), "database": database}


def _drop(database: str) -> None:
    from pymongo import MongoClient

    with MongoClient(uri()) as client:
        client.drop_database(database)


@functools.cache
def _session_server() -> Server:
    server = own_server()
    atexit.register(server.remove)
    return server
