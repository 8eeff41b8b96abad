"""One run at a Prefect server, and the handle on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort, LogSort
from prefect.states import Cancelled, Cancelling, Pending
from typing_extensions import override

from lume_services.errors import (
    APIUnreachableError,
    EmptyResultError,
    LUMEServicesError,
    RunTimeoutError,
)
from lume_services.services.scheduling.backends.diagnosis import last_lines, not_started
from lume_services.services.scheduling.backends.paging import every
from lume_services.services.scheduling.backends.persistence import RunResults, kept_value
from lume_services.services.scheduling.backends.server_api import ServerAPI
from lume_services.services.scheduling.base import LogEntry, RunHandle
from lume_services.services.scheduling.claims import give_up
from lume_services.services.scheduling.failures import failure

_POLL_SECONDS = (0.1, 0.5)
_AWAY_SECONDS = 120
_WAITING = {StateType.SCHEDULED, StateType.PENDING}


class ServerRun(RunHandle):
    """A run at a Prefect server.

    Whether it has ended is asked for again and again: an event may be lost with the connection, and the
    answer stays true when the server was restarted meanwhile.

    Args:
        server: Gives the connection to the server.
        flow_run: The run.
        results: Where the values of its tasks are.
        start_timeout_seconds: How long it may wait for its start.
        diagnosis: Tells why its job does not start, or has crashed, where that is known.
    """

    def __init__(
        self,
        server: Callable[[], ServerAPI],
        flow_run: FlowRun,
        results: RunResults,
        start_timeout_seconds: float,
        diagnosis: Callable[[FlowRun], LUMEServicesError | None],
    ) -> None:
        self._server = server
        self._id: UUID = flow_run.id
        self._flow_id = flow_run.flow_id
        self._tags = frozenset(flow_run.tags)
        self._results = results
        self._start_timeout = start_timeout_seconds
        self._diagnosis = diagnosis

    @property
    @override
    def run_id(self) -> str:
        return str(self._id)

    @property
    @override
    def state(self) -> State[Any]:
        with self._server().client() as client:
            return self._read(client).state or Pending()

    @property
    @override
    def tags(self) -> frozenset[str]:
        return self._tags

    @override
    def wait(self, timeout: float | None = None) -> State[Any]:
        for run, seconds in self._watched():
            state = run.state
            if state is not None and state.is_final():
                return state
            if timeout is not None and seconds >= timeout:
                break
            self._check_start(run, seconds)
        raise RunTimeoutError(
            f"the run did not end within {timeout} s.",
            where=f"run {self.run_id}",
            remedy="Give it more time, or cancel it.",
            run_id=self.run_id,
        )

    @override
    def check_start(self, seconds: float) -> None:
        with self._server().client() as client:
            run = self._read(client)
        self._check_start(run, seconds)

    @override
    def result(self, timeout: float | None = None) -> Any:
        state = self.wait(timeout)
        with self._server().client() as client:
            name = client.read_flow(self._flow_id).name
            if state.is_completed():
                if state.data is None:
                    raise EmptyResultError(
                        "it completed, but its value was not kept.", where=f"run {self.run_id}"
                    )
                return kept_value(state.data)
            original = _exception(state)
            run = self._read(client)
            lines = last_lines(client, run) if state.is_crashed() else []
        reason = self._diagnosis(run) if state.is_crashed() else None
        if reason is not None:
            raise reason
        raise failure(state, original, flow_name=name, run_id=self.run_id, last_lines=lines) from original

    @override
    def task_result(self, name: str) -> Any:
        self.wait()
        return self._results.of_task(self.run_id, name)

    @override
    def logs(self) -> list[LogEntry]:
        with self._server().client() as client:
            runs = [self._read(client), *self._descendants(client)]
            names = {run.id: run.name for run in runs}
            wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=list(names)))
            lines = every(
                lambda limit, offset: client.read_logs(wanted, limit, offset, sort=LogSort.TIMESTAMP_ASC)
            )
        return [
            LogEntry(
                line.timestamp, line.level, names[line.flow_run_id] if line.flow_run_id else "", line.message
            )
            for line in lines
        ]

    @override
    def cancel(self) -> None:
        """Ask the run and all that it started to stop, and return at once.

        A subflow in the process of its parent ends with it, which nobody else would note.
        """
        why = "Cancelled through its run handle."
        with self._server().client() as client:
            for run in [self._read(client), *self._descendants(client)]:
                if run.state is None or run.state.is_final():
                    continue
                if run.deployment_id is None:
                    client.set_flow_run_state(run.id, Cancelled(message=why))
                elif run.state_type not in _WAITING or not give_up(client, run.id, why):
                    client.set_flow_run_state(run.id, Cancelling(message=why))

    def _read(self, client: SyncPrefectClient) -> FlowRun:
        return client.read_flow_run(self._id)

    def _watched(self) -> Iterator[tuple[FlowRun, float]]:
        """Yield the run as it is, again and again, and for how many seconds so far."""
        start = answered = time.monotonic()
        pause, longest = _POLL_SECONDS
        with self._server().watched(self._id) as read:
            known_for = 0.0
            while True:
                try:
                    run = read(known_for)
                except APIUnreachableError:
                    if time.monotonic() - answered > _AWAY_SECONDS:
                        raise
                else:
                    answered = time.monotonic()
                    yield run, answered - start
                time.sleep(pause)
                known_for, pause = pause / 2, min(pause * 1.5, longest)

    def _check_start(self, run: FlowRun, seconds: float) -> None:
        """Give the run up if it has not begun in time: it is cancelled first, and then that is reported."""
        due = run.expected_start_time
        if run.state_type not in _WAITING or seconds < self._start_timeout or due is None:
            return
        reason = self._diagnosis(run) if run.state_type == StateType.PENDING else None
        with self._server().client() as client:
            error = reason or not_started(client, run, self._start_timeout)
            if give_up(client, self._id, f"Given up: {error.message}"):
                raise error

    def _descendants(self, client: SyncPrefectClient) -> list[FlowRun]:
        found: list[FlowRun] = []
        parents = [self._id]
        while parents:
            of_parents = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=parents))
            children = every(
                lambda limit, offset, wanted=of_parents: client.read_flow_runs(  # type: ignore[misc]
                    flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=limit, offset=offset
                )
            )
            parents = [child.id for child in children]
            found += children
        return found


def _exception(state: State[Any]) -> BaseException | None:
    found = kept_value(state.data)
    return found if isinstance(found, BaseException) else None
