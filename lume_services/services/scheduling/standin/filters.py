"""The `filter` requests that the stand-in can answer: by id, name, state, parent, flow and key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lume_services.services.scheduling.standin.records import Record

DEFAULT_LIMIT = 200

Get = Callable[[Record], Any]


def _field(name: str) -> Get:
    return lambda record: record.get(name)


# What a filter on an object of one table means for a record of another: the field that holds its id.
_LINKS: dict[tuple[str, str], str] = {
    ("flow_runs", "flows"): "flow_id",
    ("task_runs", "flow_runs"): "flow_run_id",
    ("artifacts", "flow_runs"): "flow_run_id",
    ("artifacts", "task_runs"): "task_run_id",
}

_FIELDS: dict[str, dict[str, Get]] = {
    "flows": {name: _field(name) for name in ("id", "name")},
    "flow_runs": {
        name: _field(name)
        for name in ("id", "name", "flow_id", "parent_task_run_id", "parent_flow_run_id", "flow_version")
    },
    "task_runs": {name: _field(name) for name in ("id", "name", "flow_run_id")},
    "artifacts": {name: _field(name) for name in ("id", "key", "type", "flow_run_id", "task_run_id")},
}


class UnsupportedFilter(Exception):
    """A request filters by something that the stand-in does not keep."""


def matching(table: str, records: Iterable[Record], body: Record) -> list[Record]:
    """Return the records of a table that a filter body asks for, sorted and limited as it says.

    Raises:
        UnsupportedFilter: The body has a condition that is not among those above.
    """
    options = {"sort", "limit", "offset"}
    for name, conditions in body.items():
        if name not in options and conditions:
            records = [record for record in records if _matches(table, record, name, conditions)]
    found = _sorted(list(records), body.get("sort"))
    start = body.get("offset") or 0
    return found[start : start + (body.get("limit") or DEFAULT_LIMIT)]


def _matches(table: str, record: Record, about: str, conditions: Record) -> bool:
    fields = _FIELDS.get(about, {})
    if about != table:
        link = _LINKS.get((table, about))
        fields = {"id": _field(link)} if link else {}
    for name, condition in conditions.items():
        if condition is None or (name == "operator" and condition == "and_"):
            continue
        if name == "state" and about == table:
            if not _state_matches(record, condition):
                return False
        elif name not in fields:
            raise UnsupportedFilter(f"a filter of {table} by {about}.{name}")
        elif not _holds(fields[name](record), condition, f"{table} by {about}.{name}"):
            return False
    return True


def _state_matches(record: Record, condition: Record) -> bool:
    parts = {"type": "state_type", "name": "state_name"}
    return all(
        _holds(record.get(parts[part]), wanted, f"state.{part}")
        for part, wanted in condition.items()
        if wanted is not None and part in parts
    )


def _holds(value: Any, condition: Record, what: str) -> bool:
    for operator, wanted in condition.items():
        if wanted is None:
            continue
        if operator == "any_":
            held = value in wanted
        elif operator == "not_any_":
            held = value not in wanted
        elif operator == "is_null_":
            held = (value is None) is wanted
        else:
            raise UnsupportedFilter(f"a filter of {what} with {operator}")
        if not held:
            return False
    return True


def _sorted(records: list[Record], order: str | None) -> list[Record]:
    if not order:
        return records
    name, _, direction = order.lower().rpartition("_")
    return sorted(records, key=lambda record: record.get(name) or "", reverse=direction == "desc")
