"""A real Prefect server for the tests: one for the whole session, in memory, on a free loopback port."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from servers import ServerUnavailable, free_port, unavailable

START_SECONDS = 90
REMEDY = "pip install 'lume-services[server]'"

# A file of SQLite locks itself: its server answers 503 and the client then sleeps for seconds.
IN_MEMORY = "sqlite+aiosqlite:///file::memory:?cache=shared&uri=true&check_same_thread=false"


@dataclass
class Server:
    """A running server."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that uses the server."""
        return {**clean_environment(self.home), "PREFECT_API_URL": self.url}


def clean_environment(home: Path) -> dict[str, str]:
    """Return the environment of a process whose Prefect knows nothing of this machine's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "LUME_"))}
    return {
        **kept,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def session_server() -> Server:
    """Return the server of this session, started on first use, or skip the test."""
    try:
        return _session_server()
    except ServerUnavailable as error:
        unavailable(str(error), REMEDY)


@functools.cache
def _session_server() -> Server:
    server = start()
    atexit.register(stop, server)
    return server


def start(**further: str) -> Server:
    """Start a server, with further variables.

    Raises:
        ServerUnavailable: It does not start.
    """
    home = Path(tempfile.mkdtemp(prefix="prefect-server-"))
    port = free_port()
    log = home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env={**clean_environment(home), "PREFECT_SERVER_DATABASE_CONNECTION_URL": IN_MEMORY, **further},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}/api", home, process)
    try:
        _wait(server, log)
    except ServerUnavailable:
        stop(server)
        raise
    return server


def stop(server: Server) -> None:
    """Stop one server and remove its files."""
    server.process.terminate()
    try:
        server.process.wait(20)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    shutil.rmtree(server.home, ignore_errors=True)


def _wait(server: Server, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urlopen(f"{server.url}/health", timeout=2):
                return
        except (URLError, OSError):
            if server.process.poll() is not None:
                break
            time.sleep(0.25)
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise ServerUnavailable(f"a Prefect server does not start here ({' '.join(last)})")
