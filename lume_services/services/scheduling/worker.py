"""A worker: takes runs from a work pool and starts their jobs. Prefect's own, with quick defaults."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lume_services.errors import BackendError
from lume_services.services.scheduling.event_loop import in_thread

if TYPE_CHECKING:
    from uuid import UUID

    from anyio import CancelScope
    from prefect.client.schemas.objects import FlowRun
    from prefect.workers.base import BaseJobConfiguration

    from lume_services.services.scheduling.backends.server import ServerBackend
    from lume_services.services.scheduling.fork_server import ForkServer
    from lume_services.services.scheduling.taken_runs import AnswersForRuns

logger = logging.getLogger(__name__)

_HEARTBEAT = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
_SHUTDOWN = (signal.SIGTERM, signal.SIGINT)


class Worker:
    """Takes runs from the work pool of a backend until its process is told to stop, by SIGTERM or Ctrl-C.

    What `env` holds goes into the jobs alone, and into no deployment, parameter or log.

    Args:
        backend: The backend whose work pool the runs are in; the pool is made if it is not there.
        name: By default the name of this machine and the number of this process.
        queues: Work queues to take runs from; all if empty.
        limit: At most so many runs at the same time.
        env: Environment variables of all jobs.
        labels: Labels of all containers and Kubernetes jobs.
        poll_seconds: Between two looks for new runs.
        health_port: Port of this machine on which `/health` answers 200 as long as the worker polls.
        reconcile_seconds: Between two looks for runs that nobody carries on.
    """

    def __init__(
        self,
        backend: ServerBackend,
        *,
        name: str | None = None,
        queues: Sequence[str] = (),
        limit: int | None = None,
        env: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        poll_seconds: float = 0.5,
        health_port: int | None = None,
        reconcile_seconds: float = 60.0,
    ) -> None:
        self._backend = backend
        self._name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._queues = list(queues)
        self._limit = limit
        self._env = dict(env or {})
        self._labels = dict(labels or {})
        self._poll_seconds = poll_seconds
        self._health_port = health_port
        self._reconcile_seconds = reconcile_seconds
        self._taken: Collection[UUID] = ()

    def run(self, ready: Callable[[str], None]) -> None:
        """Work until told to stop.

        Args:
            ready: Called with a line that tells what the worker does, when it begins.

        Raises:
            PluginError: The package for this type of work pool is not installed.
            APIUnreachableError: The Prefect server does not answer.
        """
        import anyio
        from prefect.settings import (
            PREFECT_WORKER_QUERY_SECONDS,
            PREFECT_WORKER_WEBSERVER_HOST,
            PREFECT_WORKER_WEBSERVER_PORT,
            temporary_settings,
        )

        os.environ.update(self._env)
        # Jobs are started by name, and this interpreter is the one that has their packages.
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        self._backend.ensure_work_pool()
        self._reconcile()
        settings: dict[Any, Any] = {PREFECT_WORKER_QUERY_SECONDS: self._poll_seconds}
        if self._health_port is not None:
            settings |= {
                PREFECT_WORKER_WEBSERVER_HOST: "127.0.0.1",
                PREFECT_WORKER_WEBSERVER_PORT: self._health_port,
            }
        with self._backend.entered(), temporary_settings(settings):
            with self._fork_server() as fork_server:
                kind = worker_type(self._backend.work_pool_type, self._env, self._labels, fork_server)
                anyio.run(self._work, kind, ready)
            self._hand_back()

    def _fork_server(self) -> AbstractContextManager[ForkServer | None]:
        if self._backend.work_pool_type != "process":
            return nullcontext()
        from lume_services.services.scheduling.fork_server import ForkServer

        return ForkServer({**os.environ, **_inherited(self._env)})

    async def _work(self, kind: type[AnswersForRuns], ready: Callable[[str], None]) -> None:
        import anyio

        worker = kind(
            work_pool_name=self._backend.work_pool,
            work_queues=self._queues or None,
            name=self._name,
            limit=self._limit,
            create_pool_if_not_found=False,
        )
        self._taken = worker.taken
        gc.freeze()  # what lives as long as the worker is not looked through after each run
        async with anyio.create_task_group() as group:
            await group.start(_stop_on_signal, group.cancel_scope)
            group.start_soon(self._reconcile_again_and_again)
            ready(
                f"Worker {self._name} takes {self._backend.work_pool_type} runs from the work pool "
                f"{self._backend.work_pool}, every {self._poll_seconds:g} s."
            )
            await worker.start(printer=logger.info, with_healthcheck=self._health_port is not None)

    async def _reconcile_again_and_again(self) -> None:
        import anyio

        while True:
            await anyio.sleep(self._reconcile_seconds)
            # In a thread of its own: who is told to stop does not wait for it.
            await in_thread(self._reconcile_if_possible)

    def _reconcile(self) -> None:
        for run in self._backend.reconcile(self._taken):
            logger.warning("Run %s was %s and is %s now: %s", run.name, run.before, run.after, run.why)

    def _reconcile_if_possible(self) -> None:
        try:
            self._reconcile()
        except _api_errors() as error:
            logger.warning("Runs that nobody carries on are looked for later: %s", error)

    def _hand_back(self) -> None:
        try:
            self._backend.hand_back(self._taken)
        except _api_errors() as error:
            logger.warning("Runs that have not begun are given back by another worker: %s", error)


async def _stop_on_signal(scope: CancelScope, *, task_status: Any) -> None:
    """Cancel at the first signal. It is received even where the shell that started us has it ignored."""
    import anyio

    with anyio.open_signal_receiver(*_SHUTDOWN) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()
            return


def _api_errors() -> tuple[type[Exception], ...]:
    """Return what is raised where the API of Prefect fails, or knows a run no longer."""
    from httpx import HTTPError
    from prefect.exceptions import PrefectException

    return BackendError, HTTPError, PrefectException


def _inherited(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that jobs get from their worker, these among them."""
    from prefect.settings import get_current_settings

    return {_HEARTBEAT: "30", **get_current_settings().to_environment_variables(exclude_unset=True), **env}


def worker_type(
    work_pool_type: str,
    env: Mapping[str, str],
    labels: Mapping[str, str],
    fork_server: ForkServer | None = None,
) -> type[AnswersForRuns]:
    """Return Prefect's worker for a type of work pool, whose jobs get these variables and labels.

    Args:
        work_pool_type: As Prefect names it.
        env: Environment variables of all jobs.
        labels: Labels of all containers and Kubernetes jobs.
        fork_server: Starts the processes of jobs; without it each is a new interpreter.

    Raises:
        PluginError: The package that has it is not installed.
    """
    from lume_services.services.scheduling.rendering import worker_class
    from lume_services.services.scheduling.taken_runs import AnswersForRuns
    from lume_services.services.scheduling.waiting_runs import CancelsWaitingRuns

    original = worker_class(work_pool_type)
    # A home of this machine is none of another's.
    left_out = set() if work_pool_type == "process" else {"PREFECT_HOME"}

    class Configuration(original.job_configuration):  # type: ignore[name-defined, misc]
        def _base_environment(self) -> dict[str, str]:
            return {name: value for name, value in _inherited(env).items() if name not in left_out}

        def prepare_for_flow_run(self, flow_run: FlowRun, *args: Any, **kwargs: Any) -> None:
            self.labels: dict[str, str] = {**labels, **self.labels}
            super().prepare_for_flow_run(flow_run, *args, **kwargs)
            if fork_server and self.command:
                self.command: str | None = fork_server.command(self.command)

    configuration: type[BaseJobConfiguration] = Configuration
    further = (CancelsWaitingRuns,) if work_pool_type == "kubernetes" else ()
    bases = (AnswersForRuns, *further, original)
    return type(original.__name__, bases, {"job_configuration": configuration})
