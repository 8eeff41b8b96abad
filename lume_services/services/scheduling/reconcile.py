"""Flow runs that a dead worker or a killed parent left behind are brought to a true state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import EventFilter, EventOccurredFilter, EventOrder, EventResourceFilter
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling, Crashed

from lume_services.services.scheduling.backends.paging import every

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

SILENT_SECONDS = 600.0
"""Three heartbeats of Prefect, which sends one every 180 s, and some more."""

_UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


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


def reconcile(client: SyncPrefectClient, silent_seconds: float = SILENT_SECONDS) -> list[Reconciled]:
    """End the runs that nobody carries on, and return them.

    A run inside of one that has ended, has ended with it; one that was sent elsewhere is cancelled. A run of
    a worker that gives no sign of life has crashed; one that was being cancelled is cancelled. A run in a
    process that no worker started sends no heartbeats, so it is left alone.

    Args:
        client: Of the Prefect API.
        silent_seconds: How long no sign of life means that there is none.
    """
    return list(_reconciled(client, timedelta(seconds=silent_seconds)))


def _reconciled(client: SyncPrefectClient, silent: timedelta) -> Iterator[Reconciled]:
    for run in _unfinished(client):
        found = _after_its_parent(client, run) or _silent(client, run, silent)
        if found is None:
            continue
        state, why = found
        client.set_flow_run_state(run.id, state, force=True)
        yield Reconciled(str(run.id), run.name, run.state_name or "", state.name or "", why)


def _unfinished(client: SyncPrefectClient) -> list[FlowRun]:
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNFINISHED)))
    return every(
        lambda limit, offset: client.read_flow_runs(
            flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=limit, offset=offset
        )
    )


def _after_its_parent(client: SyncPrefectClient, run: FlowRun) -> tuple[State[Any], str] | None:
    parent = _parent(client, run.parent_task_run_id) if run.parent_task_run_id else None
    if parent is None or parent.state is None or not parent.state.is_final():
        return None
    why = f"the run that started it, {parent.name}, is {parent.state.name}"
    if run.deployment_id is not None:
        return None if run.state_type == StateType.CANCELLING else (Cancelling(message=why), why)
    return (Cancelled if parent.state.is_cancelled() else Crashed)(message=why), why


def _parent(client: SyncPrefectClient, task_run_id: UUID) -> FlowRun | None:
    try:
        flow_run_id = client.read_task_run(task_run_id).flow_run_id
    except ObjectNotFound:
        return None
    return client.read_flow_run(flow_run_id) if flow_run_id else None


def _silent(client: SyncPrefectClient, run: FlowRun, silent: timedelta) -> tuple[State[Any], str] | None:
    if run.deployment_id is None or run.state is None:
        return None
    since = datetime.now(UTC) - silent
    if run.state.timestamp > since or _sign_of_life(client, run.id, since):
        return None
    why = f"no sign of life for {silent.total_seconds():g} s"
    cancelled = run.state_type == StateType.CANCELLING
    return (Cancelled if cancelled else Crashed)(message=why), why


def _sign_of_life(client: SyncPrefectClient, run_id: UUID, since: datetime) -> bool:
    """Tell whether there was an event of the run, as a heartbeat, since a moment."""
    wanted = EventFilter(
        occurred=EventOccurredFilter(since=since),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run_id}"]),
        order=EventOrder.DESC,
    )
    return bool(client.read_events(filter=wanted, limit=1).events)
