"""The records the stand-in keeps: JSON objects in the form of Prefect's REST API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

Record = dict[str, Any]

FINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


def stamp(moment: datetime | None = None) -> str:
    """Return a moment, now if None, as text that sorts by time."""
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="microseconds")


def moment(text: str) -> datetime:
    """Return the moment that a text of the API means."""
    return datetime.fromisoformat(text)


def new_record(**fields: Any) -> Record:
    """Return a record with an id, the times of creation and update, and those `fields` that are not None."""
    now = stamp()
    given = {name: value for name, value in fields.items() if value is not None}
    return {"id": str(uuid4()), "created": now, "updated": now, **given}


def new_state(fields: Mapping[str, Any] | None) -> Record:
    """Return a complete state from what a client sent, Pending if it sent none."""
    given = dict(fields or {"type": "PENDING"})
    return {
        "id": given.get("id") or str(uuid4()),
        "type": given["type"],
        "name": given.get("name") or given["type"].capitalize(),
        "timestamp": given.get("timestamp") or stamp(),
        "message": given.get("message"),
        "data": given.get("data"),
        "state_details": dict(given.get("state_details") or {}),
    }


def enter_state(run: Record, state: Record) -> None:
    """Put a run into a state, with the bookkeeping that a server does on each change.

    The counter `run_count` is left alone: flow runs count here, task runs in the engine.
    """
    before = run.get("state")
    if before and before["type"] == "RUNNING":
        seconds = (moment(state["timestamp"]) - moment(before["timestamp"])).total_seconds()
        run["total_run_time"] = run.get("total_run_time", 0.0) + seconds
    if state["type"] == "RUNNING" or state["type"] in FINAL:
        run["start_time"] = run.get("start_time") or state["timestamp"]
    run["end_time"] = state["timestamp"] if state["type"] in FINAL else None
    scheduled = state["state_details"].get("scheduled_time")
    run["next_scheduled_start_time"] = scheduled if state["type"] == "SCHEDULED" else None
    run["expected_start_time"] = run.get("expected_start_time") or scheduled or state["timestamp"]
    run.update(
        state=state,
        state_id=state["id"],
        state_type=state["type"],
        state_name=state["name"],
        updated=state["timestamp"],
    )
