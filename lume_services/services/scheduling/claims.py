"""Who may begin a run, or end it before it has begun: exactly one.

A server of Prefect lets a run go from nearly every state to Running: twice, or after it was cancelled. But a
run that is Pending under some name does not go to Pending under the same name, nor does one that is Running,
Cancelling or Cancelled; the server looks and changes while it holds the row of the run. So whoever brings a
run to the state `Beginning` has it for itself: a job, which then begins; a caller that gives it up; a worker
that gives it back. All others are refused.

A job that was held up after that begins no more when `BEGIN_SECONDS` have passed. After `LOST_SECONDS`
without a further state, nobody has the run any more.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from prefect.client.schemas import SetStateStatus
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import Abort
from prefect.states import Cancelled, Cancelling, Crashed, Pending, Scheduled

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

BEGINNING = "Beginning"
BEGIN_SECONDS = 45.0
LOST_SECONDS = 90.0
_BY_A_JOB = "A job begins it."

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps


class Beginning:
    """The right of a job to begin its run.

    Args:
        client: Of the Prefect API.
        run_id: The run.

    Raises:
        Abort: Another job has it, or the run was cancelled. The engine then ends without a word.
    """

    def __init__(self, client: SyncPrefectClient, run_id: UUID) -> None:
        self._client = client
        self._run_id = run_id
        self._since: float | None = time.clock_gettime(_CLOCK)
        if claim(client, run_id, _BY_A_JOB):
            return
        state = client.read_flow_run(run_id).state
        if state is not None and state.is_cancelling():
            end_cancelling(client, run_id, "It was cancelled before it began.")
        raise Abort(f"it is {state.name if state else 'gone'}, and not for this job to begin")

    def check(self, state: State[Any] | None) -> None:
        """Look whether it is still time to begin; once, as a flow that is retried has begun.

        Args:
            state: Running, as the server gave it.

        Raises:
            Abort: It is too late. The run is scheduled again, if nobody has done that.
        """
        since, self._since = self._since, None
        if since is None or time.clock_gettime(_CLOCK) - since < BEGIN_SECONDS:
            return
        now = self._client.read_flow_run(self._run_id).state
        if now is not None and state is not None and now.id == state.id:
            self._client.set_flow_run_state(
                self._run_id, Scheduled(message="Its job was too late to begin it."), force=True
            )
        raise Abort("it is too late to begin")


def claim(client: SyncPrefectClient, run_id: UUID, why: str) -> bool:
    """Take a run that has not begun, and return whether that was possible.

    Args:
        client: Of the Prefect API.
        run_id: The run.
        why: Is shown as the message of its state.
    """
    mine = f"{why} ({uuid4()})"
    wanted: State[Any] = Pending(name=BEGINNING, message=mine)
    answer = client.set_flow_run_state(run_id, wanted)
    taken = answer.status == SetStateStatus.ACCEPT or (
        # The answer to the same request was lost on the way, and Prefect's client has repeated it.
        answer.status == SetStateStatus.REJECT and answer.state is not None and answer.state.message == mine
    )
    if not taken:
        return False
    before = [state for state in client.read_flow_run_states(run_id) if state.message != mine]
    if before and before[-1].is_final():  # Prefect lets a run that has failed or crashed begin again
        client.set_flow_run_state(run_id, before[-1], force=True)
        return False
    return True


def give_up(client: SyncPrefectClient, run_id: UUID, why: str) -> bool:
    """Cancel a run that has not begun, and return whether that holds: it can never begin from now on.

    Args:
        client: Of the Prefect API.
        run_id: The run.
        why: Is shown as the message of its state.
    """
    before = client.read_flow_run(run_id)
    if claim(client, run_id, why):
        run = client.read_flow_run(run_id)
        # The worker removes a job that waits for a place, and sets Cancelled; what was given back has none.
        has_job = run.infrastructure_pid and before.state_type != StateType.SCHEDULED
        state = Cancelling if has_job else Cancelled
        client.set_flow_run_state(run_id, state(message=why), force=True)
        return True
    run = client.read_flow_run(run_id)
    if run.state_type == StateType.SCHEDULED:  # a limit of the deployment lets nobody take it
        client.set_flow_run_state(run_id, Cancelling(message=why))
        run = client.read_flow_run(run_id)
    end_lost(client, run)
    return run.start_time is None and run.state_type in {StateType.CANCELLING, StateType.CANCELLED}


def give_back(client: SyncPrefectClient, run_id: UUID, why: str) -> bool:
    """Let another worker take a run that has not begun, and return whether that was possible."""
    if not claim(client, run_id, why):
        return False
    client.set_flow_run_state(run_id, Scheduled(message=why), force=True)
    return True


def end_lost(client: SyncPrefectClient, run: FlowRun) -> State[Any] | None:
    """End a run that somebody took for itself and then left, and return its state then; else None."""
    state = run.state
    if state is None or not state.is_pending() or state.name != BEGINNING or _is_new(state):
        return None
    crashed: State[Any] = Crashed(message="Its job ended before it began.")
    client.set_flow_run_state(run.id, crashed, force=True)
    return crashed


def end_cancelling(client: SyncPrefectClient, run_id: UUID, why: str) -> bool:
    """Cancel a run for good that is being cancelled, unless a job was about to begin it; return whether."""
    states = [state for state in client.read_flow_run_states(run_id) if not state.is_cancelling()]
    last = states[-1] if states else None
    by_a_job = last is not None and (last.message or "").startswith(_BY_A_JOB)
    if last is not None and last.name == BEGINNING and by_a_job and _is_new(last):
        return False  # from Cancelling it cannot begin, from Cancelled it could
    client.set_flow_run_state(run_id, Cancelled(message=why), force=True)
    return True


def _is_new(state: State[Any]) -> bool:
    return datetime.now(UTC) - state.timestamp < timedelta(seconds=LOST_SECONDS)
