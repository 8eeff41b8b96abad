"""A real PostgreSQL server for the tests, on a free loopback port, in a folder of its own."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from servers import free_port, unavailable

REMEDY = "apt-get install postgresql"
PASSWORD = "p@ss w0rd"
QUOTED = "p%40ss%20w0rd"


class Server:
    """A running server with one database, `prefect`."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        self.port = free_port()
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(self._folder, "postgres", "postgres")
            shutil.chown(password, "postgres", "postgres")
        data = self._folder / "data"
        self._run(
            "initdb", "-D", data, "-U", "prefect", "-A", "scram-sha-256", "--pwfile", password, "--no-sync"
        )
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        self._run("pg_ctl", "-D", data, "-l", self._folder / "log", "-o", options, "-w", "start")
        self._run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "prefect", "prefect")

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://prefect:{QUOTED}@127.0.0.1:{self.port}/prefect"

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._binaries / program), *map(str, arguments)]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        subprocess.run(
            command, check=True, env=environment, cwd=self._folder, stdout=subprocess.DEVNULL, timeout=60
        )


def session_server() -> Server:
    """Return the server of this session, started on first use, or skip the test."""
    binaries = next(folders_with_binaries(), None)
    if binaries is None:
        unavailable("PostgreSQL is not installed", REMEDY)
    return _session_server(binaries)


@functools.cache
def _session_server(binaries: Path) -> Server:
    server = Server(binaries)
    atexit.register(server.stop)
    return server


def folders_with_binaries() -> Iterator[Path]:
    found = shutil.which("pg_ctl")
    folders = [Path(found).parent] if found else []
    for folder in [*folders, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]:
        if all((folder / program).exists() for program in ("initdb", "pg_ctl", "createdb")):
            yield folder
