"""The memory of the stand-in: flows, flow runs, task runs, their states and artifacts."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from prefect.utilities.names import generate_slug

from lume_services.services.scheduling.standin.filters import matching
from lume_services.services.scheduling.standin.records import (
    FINAL,
    Record,
    enter_state,
    new_record,
    new_state,
    stamp,
)
from lume_services.services.scheduling.standin.rules import judge

TABLES = ("flows", "flow_runs", "task_runs", "artifacts")

KEPT_RUNS = 100
KEPT_BYTES = 2**26

NaturalKey = tuple[str | None, str, str]


class Store:
    """Everything the stand-in knows, safe to use from any thread.

    Of the top-level flow runs that have ended the latest are kept, each with all that belongs to it
    (task runs, subflow runs, artifacts, states); so a program may run flows for ever.

    Args:
        kept_runs: How many of them at most.
        kept_bytes: How large they may be together, as requests that created them.
    """

    def __init__(self, kept_runs: int = KEPT_RUNS, kept_bytes: int = KEPT_BYTES) -> None:
        self._lock = threading.RLock()
        self._kept_runs = kept_runs
        self._kept_bytes = kept_bytes
        self._tables: dict[str, dict[str, Record]] = {table: {} for table in TABLES}
        self._flow_ids: dict[str, str] = {}
        self._task_run_ids: dict[NaturalKey, str] = {}
        self._states: dict[str, list[Record]] = defaultdict(list)
        self._root_of: dict[str, str] = {}
        self._members: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._ended: deque[str] = deque()
        self._bytes: dict[str, int] = defaultdict(int)

    def get(self, table: str, key: str) -> Record | None:
        """Return a copy of a record, None if there is none of that id."""
        with self._lock:
            record = self._tables[table].get(key)
            return dict(record) if record is not None else None

    def update(self, table: str, key: str, fields: Record) -> bool:
        """Set fields of a record; return whether there is one of that id."""
        with self._lock:
            record = self._tables[table].get(key)
            if record is None:
                return False
            record.update(fields, updated=stamp())
            return True

    def find(self, table: str, body: Record) -> list[Record]:
        """Return copies of the records that the body of a `filter` request asks for.

        Raises:
            UnsupportedFilter: The body filters by something that is not kept here.
        """
        with self._lock:
            records = [self._with_parent(record) for record in self._tables[table].values()]
        return matching(table, records, body)

    def states(self, run_id: str) -> list[Record]:
        """Return the states that a run was in, in their order."""
        with self._lock:
            return list(self._states.get(run_id, ()))

    def create(self, table: str, body: Record, size: int = 0) -> Record:
        """Return a new record, or the one that exists already.

        Args:
            table: One of flows, flow_runs, task_runs, artifacts.
            body: The body of the request.
            size: Its length in bytes.
        """
        make = {
            "flows": self._create_flow,
            "flow_runs": self._create_flow_run,
            "task_runs": self._create_task_run,
            "artifacts": self._create_artifact,
        }
        with self._lock:
            record = make[table](body)
            root = self._root_of.get(record["id"] if table == "flow_runs" else record.get("flow_run_id", ""))
            if root is not None:
                self._bytes[root] += size
            return dict(record)

    def record_task_run(self, run_id: str, fields: Record, state: Record) -> None:
        """Note the state of a task run that the engine reports; one of a forgotten flow run is ignored."""
        with self._lock:
            if fields.get("flow_run_id") not in self._root_of:
                return
            run = self._tables["task_runs"].get(run_id) or self._new_task_run({"id": run_id, **fields})
            self._states[run_id].append(state)
            if "state" not in run or run["state"]["timestamp"] <= state["timestamp"]:
                enter_state(run, self._about_task_run(run, state))
                run.update(fields)

    def set_flow_run_state(self, run_id: str, proposed: Record | None, *, force: bool) -> Record | None:
        """Return the server's answer to a proposed state, None if there is no such run."""
        with self._lock:
            run = self._tables["flow_runs"].get(run_id)
            if run is None:
                return None
            verdict = judge(run, new_state(proposed), force=force)
            if verdict.state is not None:
                self._enter(run, self._about_flow_run(run, verdict.state))
                if verdict.state["type"] == "RUNNING":
                    run["run_count"] += 1
            return {"status": verdict.status, "state": run["state"], "details": verdict.details()}

    def set_task_run_state(self, run_id: str, proposed: Record | None) -> Record | None:
        """Return the server's answer to a proposed state, None if there is no such run."""
        with self._lock:
            run = self._tables["task_runs"].get(run_id)
            if run is None:
                return None
            self._set_task_run_state(run, new_state(proposed))
            return {"status": "ACCEPT", "state": run["state"], "details": {"type": "accept_details"}}

    def size(self) -> int:
        """Return the number of records and states that are kept."""
        with self._lock:
            return sum(map(len, self._tables.values())) + sum(map(len, self._states.values()))

    def _create_flow(self, body: Record) -> Record:
        known = self._flow_ids.get(body["name"])
        if known is not None:
            return self._tables["flows"][known]
        # Of its name: the same flow is the same one in every process, as it is on a server.
        flow_id = str(uuid5(NAMESPACE_URL, f"lume-services:flow:{body['name']}"))
        flow = new_record(**{"id": flow_id, "tags": [], "labels": {}, **body})
        self._flow_ids[body["name"]] = flow["id"]
        self._tables["flows"][flow["id"]] = flow
        return flow

    def _create_flow_run(self, body: Record) -> Record:
        defaults: Record = {
            "name": generate_slug(2),
            "tags": [],
            "parameters": {},
            "context": {},
            "empirical_policy": {},
            "run_count": 0,
            "total_run_time": 0.0,
            "labels": {"prefect.flow.id": body["flow_id"]},
        }
        run = new_record(**defaults | _given(body))
        parent = self._tables["task_runs"].get(body.get("parent_task_run_id") or "")
        root = str(self._root_of.get(parent["flow_run_id"], run["id"]) if parent else run["id"])
        self._root_of[run["id"]] = root
        self._add("flow_runs", run, root)
        self._enter(run, self._about_flow_run(run, new_state(body.get("state"))))
        return run

    def _create_task_run(self, body: Record) -> Record:
        known = self._task_run_ids.get(_natural_key(body))
        if known is not None:
            return self._tables["task_runs"][known]
        run = self._new_task_run(_given(body))
        self._set_task_run_state(run, new_state(body.get("state")))
        return run

    def _create_artifact(self, body: Record) -> Record:
        artifact = new_record(**body)
        self._add("artifacts", artifact, self._root_of.get(body.get("flow_run_id") or ""))
        return artifact

    def _add(self, table: str, record: Record, root: str | None) -> None:
        self._tables[table][record["id"]] = record
        if root is not None:
            self._members[root].append((table, record["id"]))

    def _new_task_run(self, fields: Record) -> Record:
        defaults: Record = {"tags": [], "labels": {}, "task_inputs": {}, "empirical_policy": {}}
        counters: Record = {"run_count": 0, "flow_run_run_count": 0, "total_run_time": 0.0}
        run = new_record(**defaults | counters | fields)
        run.setdefault("name", f"{run['task_key']}-{run['dynamic_key'][:3]}")
        self._add("task_runs", run, self._root_of.get(run.get("flow_run_id") or ""))
        self._task_run_ids[_natural_key(run)] = run["id"]
        return run

    def _enter(self, run: Record, state: Record) -> None:
        self._states[run["id"]].append(state)
        enter_state(run, state)
        parent = self._tables["task_runs"].get(run.get("parent_task_run_id") or "")
        if parent is not None:
            details = {**state["state_details"], "child_flow_run_id": run["id"]}
            self._set_task_run_state(parent, {**state, "id": str(uuid4()), "state_details": details})
        elif state["type"] in FINAL and run["id"] not in self._ended:
            self._end(run["id"])

    def _set_task_run_state(self, run: Record, state: Record) -> None:
        self._states[run["id"]].append(self._about_task_run(run, state))
        enter_state(run, state)
        run["run_count"] += state["type"] == "RUNNING"

    def _about_flow_run(self, run: Record, state: Record) -> Record:
        state["state_details"]["flow_run_id"] = run["id"]
        if run.get("parent_task_run_id"):
            state["state_details"]["task_run_id"] = run["parent_task_run_id"]
        return state

    def _about_task_run(self, run: Record, state: Record) -> Record:
        state["state_details"].update(flow_run_id=run.get("flow_run_id"), task_run_id=run["id"])
        return state

    def _with_parent(self, record: Record) -> Record:
        parent = self._tables["task_runs"].get(record.get("parent_task_run_id") or "")
        return {**record, "parent_flow_run_id": parent["flow_run_id"] if parent else None}

    def _end(self, root: str) -> None:
        self._ended.append(root)
        while len(self._ended) > self._kept_runs or self._ended_bytes() > self._kept_bytes:
            forgotten = self._ended.popleft()
            self._bytes.pop(forgotten, None)
            for table, key in self._members.pop(forgotten, ()):
                record = self._tables[table].pop(key)
                self._states.pop(key, None)
                self._root_of.pop(key, None)
                if table == "task_runs":
                    del self._task_run_ids[_natural_key(record)]

    def _ended_bytes(self) -> int:
        return sum(self._bytes[root] for root in self._ended)


def _given(body: Record) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None and name != "state"}


def _natural_key(task_run: Record) -> NaturalKey:
    return task_run.get("flow_run_id"), task_run["task_key"], task_run["dynamic_key"]
