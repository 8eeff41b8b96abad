"""Flow runs that a dead worker or a killed parent left behind are brought to a true state."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentTaskRunId,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    WorkerFilter,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, WorkerStatus
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import EventFilter, EventOccurredFilter, EventOrder, EventResourceFilter
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling, Crashed

from lume_services.services.scheduling.backends.paging import every
from lume_services.services.scheduling.claims import claim, end_cancelling, end_lost, give_back
from lume_services.services.scheduling.places import (
    HOLDER,
    is_alive,
    is_here,
    processes_of_runs,
    this_process,
)

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

SILENT_SECONDS = 600.0
"""Three heartbeats of Prefect, which sends one every 180 s, and some more."""

_NEW_SECONDS = 20.0
"""So long a run may be without an owner: between two requests of a worker, or after the end of a job."""

_NO_CALLER = "the process that ran it has gone"
_WORKER = "prefect.worker.name"
_WORKER_TYPE = "prefect.worker.type"
_UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING, StateType.PAUSED]
_SENDS_EVENTS = {StateType.RUNNING, StateType.PENDING, StateType.CANCELLING}
_RETRIED = "AwaitingRetry"


@dataclass(frozen=True)
class Reconciled:
    """A run whose state was not true.

    Attributes:
        run_id: The id of the flow run.
        name: Its name.
        before: The name of the state that it was in.
        after: The name of the state that it is in now.
        why: What shows it.
    """

    run_id: str
    name: str
    before: str
    after: str
    why: str


def reconcile(
    client: SyncPrefectClient, silent_seconds: float = SILENT_SECONDS, held: Collection[UUID] = ()
) -> list[Reconciled]:
    """End the runs that nobody carries on, and return them; those that have not begun are scheduled again.

    - A run inside of one that has ended, has ended with it. One that was sent elsewhere is cancelled, unless
      the caller was killed: `resume` finds it then.
    - A run in the process of a caller of this machine has crashed when that has gone.
    - A run that a worker has taken and not begun is given back, when the worker has died or forgotten it.
    - A run that has begun in a process of this machine has crashed when there is none any more.
    - Elsewhere, a run of a worker that gives no sign of life for long has crashed.
    - One that was being cancelled is cancelled.

    A run in the process of a caller elsewhere sends no heartbeats, so it is left alone.

    Args:
        client: Of the Prefect API.
        silent_seconds: How long no sign of life means that there is none.
        held: Runs that the worker in this process carries on.
    """
    return list(_Reconciliation(client, timedelta(seconds=silent_seconds), held).reconciled())


@dataclass
class _Reconciliation:
    client: SyncPrefectClient
    silent: timedelta
    held: Collection[UUID]

    def __post_init__(self) -> None:
        self._parents: dict[UUID, FlowRun | None] = {}
        self._online: dict[str, set[str]] = {}

    def reconciled(self) -> Iterator[Reconciled]:
        """End what has no owner, and yield it."""
        for run in self._unfinished():
            if run.state is None or run.id in self.held:
                continue
            with suppress(ObjectNotFound):  # it has just been deleted
                found = self._after_its_parent(run) or self._without_caller(run)
                if found is None and run.deployment_id is not None and _is_underway(run):
                    found = self._unheld(run) or self._silent(run)
                if found is not None:
                    yield Reconciled(str(run.id), run.name, run.state_name or "", *found)

    def _unfinished(self) -> Sequence[FlowRun]:
        scheduled = FlowRunFilterStateType(any_=[StateType.SCHEDULED])
        return [
            run
            for wanted in (
                FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNFINISHED))),
                FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=[_RETRIED]))),
                FlowRunFilter(
                    state=FlowRunFilterState(type=scheduled),
                    parent_task_run_id=FlowRunFilterParentTaskRunId(is_null_=False),
                ),
            )
            for run in every(
                lambda limit, offset, wanted=wanted: self.client.read_flow_runs(  # type: ignore[misc]
                    flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=limit, offset=offset
                )
            )
        ]

    def _set(self, run: FlowRun, state: State[Any], why: str) -> tuple[str, str]:
        answer = self.client.set_flow_run_state(run.id, state, force=True)
        return (answer.state or state).name or "", why

    # runs inside of others ---------------------------------------------------------------------

    def _after_its_parent(self, run: FlowRun) -> tuple[str, str] | None:
        parent = self._parent(run.parent_task_run_id) if run.parent_task_run_id else None
        if parent is None or parent.state is None or not parent.state.is_final():
            return None
        why = f"the run that started it, {parent.name}, is {parent.state.name}"
        if run.deployment_id is not None:
            # Where the caller was killed, it goes on: `resume` finds it.
            killed = parent.state.is_crashed() and parent.deployment_id is None
            if killed or run.state_type == StateType.CANCELLING:
                return None
            return self._set(run, Cancelling(message=why), why)
        return self._set(run, (Cancelled if parent.state.is_cancelled() else Crashed)(message=why), why)

    def _parent(self, task_run_id: UUID) -> FlowRun | None:
        if task_run_id not in self._parents:
            self._parents[task_run_id] = self._read_parent(task_run_id)
        return self._parents[task_run_id]

    def _read_parent(self, task_run_id: UUID) -> FlowRun | None:
        try:
            flow_run_id = self.client.read_task_run(task_run_id).flow_run_id
        except ObjectNotFound:
            return None
        return self.client.read_flow_run(flow_run_id) if flow_run_id else None

    def _without_caller(self, run: FlowRun) -> tuple[str, str] | None:
        """End a run that ran in the process of its caller, which was killed."""
        holder = str(run.labels.get(HOLDER, ""))
        if run.deployment_id is not None or not is_here(holder) or is_alive(holder):
            return None
        return self._set(run, Crashed(message=_NO_CALLER), _NO_CALLER) if self._is_unchanged(run) else None

    def _is_unchanged(self, run: FlowRun) -> bool:
        """Tell whether a run is still as it was, although its process has ended: so that said nothing."""
        now = self.client.read_flow_run(run.id).state
        return now is not None and run.state is not None and now.id == run.state.id

    # runs of workers ---------------------------------------------------------------------------

    def _unheld(self, run: FlowRun) -> tuple[str, str] | None:
        """End a run whose worker has died or forgotten it, as far as that is certain."""
        if run.state is None or datetime.now(UTC) - run.state.timestamp < timedelta(seconds=_NEW_SECONDS):
            return None
        if lost := end_lost(self.client, run):
            return lost.name or "", "who wanted to begin it has gone"
        if self._is_held(run):
            return None
        in_process = run.labels.get(_WORKER_TYPE) == "process"
        if run.infrastructure_pid and not in_process:  # its job tells how it ends
            return None
        if run.state.is_pending():
            why = "its worker has gone"
            return ("Scheduled", why) if give_back(self.client, run.id, f"Given back: {why}.") else None
        return self._without_process(run) if in_process or run.start_time is None else None

    def _is_held(self, run: FlowRun) -> bool:
        """Tell whether another worker carries a run on; the one of this process does not."""
        holder = str(run.labels.get(HOLDER, ""))
        if is_here(holder):
            return holder != this_process() and is_alive(holder)
        return str(run.labels.get(_WORKER, "")) in self._workers(run.work_pool_name)

    def _workers(self, pool: str | None) -> Collection[str]:
        """Return the names of the workers of a work pool that give signs of life."""
        if pool is not None and pool not in self._online:
            try:
                found = every(
                    lambda limit, offset: self.client.read_workers_for_work_pool(
                        pool, WorkerFilter(), limit=limit, offset=offset
                    )
                )
            except ObjectNotFound:
                found = []
            self._online[pool] = {one.name for one in found if one.status == WorkerStatus.ONLINE}
        return self._online[pool] if pool is not None else ()

    def _without_process(self, run: FlowRun) -> tuple[str, str] | None:
        """End a run that has no process here any more; stop one that is being cancelled."""
        cancelling = run.state_type == StateType.CANCELLING
        begun = run.start_time is not None
        if begun and (not is_here(str(run.labels.get(HOLDER, ""))) or _waits_without_process(run)):
            return None
        if processes := self._processes.get(str(run.id)):
            for process in processes if cancelling else ():
                with suppress(OSError):
                    os.kill(process, signal.SIGTERM)
            return None
        if not self._is_unchanged(run):
            return None
        why = "its worker has gone, and so has its process"
        if not cancelling:
            return self._set(run, Crashed(message=why), why)
        return ("Cancelled", why) if end_cancelling(self.client, run.id, why) else None

    @cached_property
    def _processes(self) -> Mapping[str, Sequence[int]]:
        """The processes here when it was first asked, which is after the runs were listed."""
        return processes_of_runs()

    def _silent(self, run: FlowRun) -> tuple[str, str] | None:
        """End a run that gives no sign of life."""
        since = datetime.now(UTC) - self.silent
        if run.state is None or run.state_type not in _SENDS_EVENTS or run.state.timestamp > since:
            return None
        if self._sign_of_life(run.id, since):
            return None
        why = f"no sign of life for {self.silent.total_seconds():g} s"
        if run.state.is_pending() and (
            self._workers(run.work_pool_name) or not claim(self.client, run.id, f"{why}.")
        ):
            return None  # its job waits for a place
        cancelled = run.state_type == StateType.CANCELLING
        return self._set(run, (Cancelled if cancelled else Crashed)(message=why), why)

    def _sign_of_life(self, run_id: UUID, since: datetime) -> bool:
        """Tell whether there was an event of the run, as a heartbeat, since a moment."""
        wanted = EventFilter(
            occurred=EventOccurredFilter(since=since),
            resource=EventResourceFilter(id=[f"prefect.flow-run.{run_id}"]),
            order=EventOrder.DESC,
        )
        return bool(self.client.read_events(filter=wanted, limit=1).events)


def _waits_without_process(run: FlowRun) -> bool:
    """Tell whether a run that has begun will go on in another process."""
    if run.state is None:
        return False
    if run.state.is_scheduled():
        return run.empirical_policy.retry_type != "in_process"
    return run.state.is_paused() and bool(run.state.state_details.pause_reschedule)


def _is_underway(run: FlowRun) -> bool:
    return run.state_type != StateType.SCHEDULED or run.state_name == _RETRIED
