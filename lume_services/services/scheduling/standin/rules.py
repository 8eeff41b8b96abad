"""The rules by which a flow run may change its state: those of Prefect's server that apply here.

Without deployments, workers and concurrency limits few are left. Each is named after the rule of
`prefect.server.orchestration.core_policy` that it imitates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lume_services.services.scheduling.standin.records import FINAL, Record, moment, new_state, stamp


@dataclass(frozen=True)
class Verdict:
    """What becomes of a proposed state.

    Attributes:
        status: ACCEPT, REJECT, ABORT or WAIT.
        state: The state the run has to enter, None to stay as it is.
        reason: Why the proposal was not accepted.
        delay: Seconds to wait before the proposal is made again.
    """

    status: str
    state: Record | None = None
    reason: str | None = None
    delay: int = 0

    def details(self) -> Record:
        """Return the details of the server's answer."""
        details: Record = {"type": f"{self.status.lower()}_details"}
        if self.reason is not None:
            details["reason"] = self.reason
        if self.status == "WAIT":
            details["delay_seconds"] = self.delay
        return details


def judge(run: Record, proposed: Record, *, force: bool) -> Verdict:
    """Decide on the state that is proposed for a flow run."""
    accepted = Verdict("ACCEPT", proposed)
    if force:
        return accepted
    for rule in (
        _prevent_duplicate_transitions,
        _handle_flow_terminal_state_transitions,
        _enforce_cancelling_to_cancelled,
        _bypass_cancelling_without_infrastructure,
        _prevent_pending_transitions,
        _handle_pausing_flows,
        _wait_for_scheduled_time,
        _retry_failed_flows,
    ):
        verdict = rule(run, proposed)
        if verdict is not None:
            return verdict
    return accepted


def _prevent_duplicate_transitions(run: Record, proposed: Record) -> Verdict | None:
    made = run["state"]["state_details"].get("transition_id")
    if made is None or made != proposed["state_details"].get("transition_id"):
        return None
    return Verdict("REJECT", reason="This run has already made this state transition.")


def _handle_flow_terminal_state_transitions(run: Record, proposed: Record) -> Verdict | None:
    current = run["state"]
    if current["type"] not in FINAL:
        return None
    if proposed["type"] in {"CANCELLING", "PAUSED", "CRASHED"}:
        return Verdict("ABORT", reason=f"Run is already in terminal state {current['type']}.")
    if current["type"] == "COMPLETED" and current["data"]:
        if proposed["type"] not in FINAL:
            return Verdict("REJECT", reason="Run is already COMPLETED.")
        if proposed["type"] == "COMPLETED" and not proposed["data"]:
            return Verdict("REJECT", reason="Cannot overwrite a COMPLETED state that carries result data.")
    if proposed["type"] == "SCHEDULED":
        return Verdict("ABORT", reason="Cannot reschedule a run without an associated deployment.")
    return None


def _enforce_cancelling_to_cancelled(run: Record, proposed: Record) -> Verdict | None:
    if run["state_type"] != "CANCELLING" or proposed["type"] == "CANCELLED":
        return None
    return Verdict(
        "REJECT", reason="Cannot transition flows that are cancelling to a state other than Cancelled."
    )


def _bypass_cancelling_without_infrastructure(run: Record, proposed: Record) -> Verdict | None:
    if run["state_type"] != "SCHEDULED" or proposed["type"] != "CANCELLING":
        return None
    cancelled = new_state({"type": "CANCELLED"})
    return Verdict("REJECT", cancelled, "Scheduled flow run has no infrastructure to terminate.")


def _prevent_pending_transitions(run: Record, proposed: Record) -> Verdict | None:
    if proposed["type"] != "PENDING" or run["state_type"] not in {
        "PENDING",
        "CANCELLING",
        "RUNNING",
        "CANCELLED",
    }:
        return None
    renamed = run["state_type"] == "PENDING" and proposed["name"] not in {"Pending", run["state_name"]}
    if renamed:
        return None
    reason = f"This run is in a {run['state_type']} state and cannot transition to a PENDING state."
    return Verdict("ABORT", reason=reason)


def _handle_pausing_flows(run: Record, proposed: Record) -> Verdict | None:
    if proposed["type"] != "PAUSED":
        return None
    verb = "suspend" if proposed["name"] == "Suspended" else "pause"
    if run["state_type"] != "RUNNING":
        return Verdict("REJECT", reason=f"Cannot {verb} flows that are not currently running.")
    if proposed["state_details"].get("pause_reschedule"):
        what = "subflows" if run.get("parent_task_run_id") else "flows without a deployment"
        return Verdict("ABORT", reason=f"Cannot {verb} {what}.")
    return None


def _wait_for_scheduled_time(run: Record, proposed: Record) -> Verdict | None:
    scheduled = run["state"]["state_details"].get("scheduled_time")
    if run["state_type"] not in {"SCHEDULED", "PENDING"} or proposed["type"] != "RUNNING" or not scheduled:
        return None
    seconds = round((moment(scheduled) - datetime.now(UTC)).total_seconds())
    return Verdict("WAIT", reason="Scheduled time is in the future", delay=seconds) if seconds > 0 else None


def _retry_failed_flows(run: Record, proposed: Record) -> Verdict | None:
    policy = run.get("empirical_policy") or {}
    retries = policy.get("retries")
    if run["state_type"] != "RUNNING" or proposed["type"] != "FAILED":
        return None
    if retries is None or run["run_count"] > retries:
        return None
    start = datetime.now(UTC) + timedelta(seconds=policy.get("retry_delay") or 0)
    again = new_state(
        {
            "type": "SCHEDULED",
            "name": "AwaitingRetry",
            "message": proposed["message"],
            "data": proposed["data"],
            "state_details": {"scheduled_time": stamp(start)},
        }
    )
    return Verdict("REJECT", again, "Retrying")
