"""A Prefect server on a database that bears load, with live logs, and without runs that never end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from urllib.error import URLError
from urllib.request import urlopen

from pydantic import SecretStr

from lume_services.errors import BackendError, ConfigurationError, Problem
from lume_services.services.scheduling import tied

IN_MEMORY = "sqlite+aiosqlite:///file::memory:?cache=shared&uri=true&check_same_thread=false"
_POSTGRESQL = "postgresql+asyncpg://"
_START_SECONDS = 120
_STOP_SECONDS = 20
_SILENT = timedelta(seconds=540)
_AUTOMATION = "lume-services: a run without heartbeats has crashed"


class PrefectServer:
    """A Prefect server in a process of its own, which ends with this one, also by `kill -9`.

    Args:
        host: The address that it listens on.
        port: The port.
        database: The URL of a PostgreSQL database; without one, all is forgotten at its end.

    Raises:
        ConfigurationError: The database is of another kind.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 4200, database: SecretStr | None = None
    ) -> None:
        self.url = f"http://{host}:{port}/api"
        self._host, self._port = host, port
        self._command = tied.command("prefect", "server", "start", "--host", host, "--port", str(port))
        self._database = _checked(database)

    def run(self, ready: Callable[[str], None]) -> None:
        """Start the server, and go on until it ends or this process is told to stop.

        Args:
            ready: Called with its URL when it answers.

        Raises:
            BackendError: It does not start, or it ends by itself.
        """
        self._check_port()
        process = subprocess.Popen(  # noqa: S603 - our own command
            self._command, env=self._environment(), stdin=subprocess.PIPE, start_new_session=True
        )
        previous = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            self._wait(process)
            ensure_automation(self.url)
            ready(self.url)
            raise BackendError(
                f"the Prefect server has ended by itself: {_ending(process.wait())}.",
                where=self.url,
                remedy="See what it printed. Start it again: with PostgreSQL, runs go on where they stood.",
            )
        except _Stop:
            pass
        finally:
            _end(process)
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _check_port(self) -> None:
        """Look whether the port is free. What listens there already would answer as if it were ours."""
        try:
            socket.create_server((self._host, self._port)).close()
        except OSError as error:
            raise BackendError(
                f"the Prefect server cannot listen on {self._host}:{self._port}: {error.strerror or error}.",
                where="--host, --port",
                remedy="Choose another port, or end what listens there.",
            ) from error

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": self._database.get_secret_value(),
            "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",
            "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        }

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with urlopen(f"{self.url}/health", timeout=2):  # noqa: S310 - our own URL
                    return
            except (URLError, OSError):
                time.sleep(0.25)
        raise BackendError(
            "the Prefect server does not start; see what it printed.",
            where=self.url,
            remedy="Is the port in use, the database reachable, and the extra installed? "
            "pip install 'lume-services[server]'",
        )


def ensure_automation(api_url: str) -> None:
    """Make a server crash the runs whose heartbeats have stopped, which it would show as running for ever."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    from lume_services.services.scheduling.backends.server_api import ServerAPI

    trigger = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.*"},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=_SILENT,
    )
    crashed = ChangeFlowRunState(state=StateType.CRASHED, message="Its heartbeats have stopped.")
    with ServerAPI(api_url, None).client() as client:
        if not client.read_automations_by_name(_AUTOMATION):
            client.create_automation(AutomationCore(name=_AUTOMATION, trigger=trigger, actions=[crashed]))


def _checked(database: SecretStr | None) -> SecretStr:
    if database is None:
        return SecretStr(IN_MEMORY)
    if database.get_secret_value().startswith(_POSTGRESQL):
        return database
    problem = Problem(
        "not a PostgreSQL database. A file of SQLite locks itself under Prefect: with one client and tasks, "
        "requests already wait for seconds.",
        where="--database",
        remedy=f"Give {_POSTGRESQL}USER:PASSWORD@HOST/DATABASE, or leave it out for a trial in memory.",
    )
    raise ConfigurationError("the Prefect server is not started", [problem])


class _Stop(Exception):
    """The process was told to stop."""


def _stop(number: int, _: object) -> None:
    raise _Stop(number)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.strsignal(-code) or f"signal {-code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
