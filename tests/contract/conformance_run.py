"""Runs every conformance scenario and writes the outcomes as JSON.

    python conformance_run.py local OUTCOMES.json
    python conformance_run.py bare OUTCOMES.json

`local` runs them by the local backend, without PREFECT_API_URL against the in-process stand-in. `bare`
runs them by Prefect alone, against the server of PREFECT_API_URL: what the others are held to. An
outcome is what the caller of the flow sees, and what the API tells afterwards of the flow run, its
subflows, its tasks and its artifacts.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import conformance_basics as basics
import conformance_failures as failures
import conformance_results as results
import conformance_subflows as subflows
import conformance_surroundings as surroundings
import conformance_tasks as tasks
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.objects import State
from prefect.client.schemas.sorting import FlowRunSort, TaskRunSort
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.utilities.callables import get_call_parameters

from lume_services.errors import LUMEServicesError
from lume_services.services.scheduling.api import connect
from lume_services.services.scheduling.backends.local import LocalBackend

BACKEND = LocalBackend()
WHERE = tempfile.mkdtemp()
LOGGED = re.compile("from the|printed")

SCENARIOS: dict[str, tuple[Any, dict[str, Any]]] = {
    "calls": (tasks.calls, {"n": 3}),
    "default parameters": (tasks.calls, {}),
    "submit, map, wait, as_completed": (tasks.futures, {}),
    "many calls": (tasks.many_calls, {}),
    "tasks in tasks": (tasks.tasks_in_tasks, {}),
    "async gather": (tasks.gathered, {}),
    "submitted async tasks": (tasks.async_futures, {}),
    "thread pool": (tasks.thread_pool, {}),
    "process pool": (tasks.process_pool, {}),
    "generator task": (tasks.task_generator, {}),
    "async generator task": (tasks.task_generator_async, {}),
    "generator flow": (tasks.flow_generator, {"n": 3}),
    "async generator flow": (tasks.flow_generator_async, {"n": 2}),
    "failing task": (failures.failing_task, {}),
    "returned futures, one failed": (failures.failures_among_futures, {}),
    "mapped failures": (failures.mapped_failures, {}),
    "failed upstream": (failures.upstream_failure, {}),
    "allow_failure": (failures.failure_allowed, {}),
    "task retries": (failures.task_retries, {}),
    "task retries exhausted, delays, condition": (failures.task_retries_exhausted, {}),
    "flow retries": (failures.flow_retries, {}),
    "flow retry delay": (failures.flow_retry_delay, {}),
    "flow retries exhausted": (failures.flow_retries_exhausted, {}),
    "retry with a subflow": (failures.retried_with_subflow, {}),
    "task timeout": (failures.task_timeout, {}),
    "async task timeout": (failures.task_timeout_async, {}),
    "flow timeout": (failures.flow_timeout, {}),
    "async flow timeout": (failures.flow_timeout_async, {}),
    "flow exits": (failures.exits, {}),
    "task exits": (failures.task_exits, {}),
    "returned Completed": (failures.custom_state, {"kind": "completed"}),
    "returned Cancelled": (failures.custom_state, {"kind": "cancelled"}),
    "returned Failed": (failures.custom_state, {"kind": "failed"}),
    "task returns a state": (failures.task_returns_state, {}),
    "flow returns a future": (failures.returns_future, {}),
    "suspend": (failures.suspends, {}),
    "caching": (results.caching, {"where": WHERE}),
    "caching, another run": (results.caching, {"where": WHERE}),
    "cache expiration": (results.cache_expires, {"where": WHERE}),
    "cache key": (results.cache_key, {"where": WHERE}),
    "cache policies": (results.cache_policies, {"where": WHERE}),
    "persisted results": (results.persisted, {"name": "result"}),
    "subflow": (subflows.parent, {}),
    "async subflows": (subflows.parent_async, {}),
    "subflows in threads": (subflows.parent_with_threads, {}),
    "subflows in tasks": (subflows.parent_with_tasks, {}),
    "nested failing subflow": (subflows.parent_of_broken, {}),
    "failed subflow, state returned": (subflows.parent_survives, {}),
    "future passed to a subflow": (subflows.parent_passes_future, {}),
    "run names": (surroundings.named, {"n": 7}),
    "runtime": (surroundings.runtime_values, {}),
    "logs": (surroundings.logs, {}),
    "hooks": (surroundings.hooked, {"bad": False}),
    "hooks, failing": (surroundings.hooked, {"bad": True}),
    "transaction": (surroundings.transactional, {"bad": False}),
    "rolled back": (surroundings.transactional, {"bad": True}),
    "coerced parameters": (surroundings.validated, {"beam": {"energy": "6.5"}, "n": "3"}),
    "invalid parameters": (surroundings.validated, {"beam": {"energy": "fast"}, "n": "many"}),
    "parameters not validated": (surroundings.not_validated, {"n": "as it is"}),
    "parameter that JSON cannot hold": (surroundings.opaque, {"thing": surroundings.Opaque()}),
    "artifacts": (surroundings.artifacts, {}),
    "concurrency limits": (surroundings.limits, {}),
    "strict concurrency limit": (surroundings.strict_limit, {}),
    "absent variables, blocks, deployments": (surroundings.absent_objects, {}),
    "reads itself": (surroundings.reads_itself, {}),
    "assets and events": (surroundings.assets, {}),
}

Outcome = dict[str, Any]


def plain(value: Any) -> Any:
    """Return a value as JSON has it, with states by name and without what differs between runs."""
    if isinstance(value, State):
        return f"<{value.name}>"
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return steady(value)
    return value if isinstance(value, (int, float, bool, type(None))) else type(value).__name__


def steady(text: str | None) -> str | None:
    """Return a text without ids, addresses and the random ends of names."""
    if text is None:
        return None
    text = text.replace(WHERE, "WHERE")
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "ID", text)
    text = re.sub(r"(https?://)[\w.:]+", r"\1HOST", text)
    return re.sub(r"-[0-9a-f]{3}\b", "", text)


def run_local(flow: Any, parameters: dict[str, Any]) -> tuple[str, Outcome]:
    """Run one scenario by the local backend; return the id of its run and what the caller saw."""
    handle = BACKEND.run(flow, parameters)
    outcome: Outcome = {"state": handle.wait(120).name, "message": steady(handle.state.message) or None}
    try:
        outcome["value"] = plain(handle.result())
    except LUMEServicesError as error:
        outcome["cause"] = type(error.__cause__).__name__
    outcome["logs"] = sorted(line.message for line in handle.logs() if LOGGED.match(line.message))
    return handle.run_id, outcome


def run_bare(flow: Any, parameters: dict[str, Any]) -> tuple[str, Outcome]:
    """Run one scenario by Prefect's engine; return the id of its run and what the caller saw."""
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(flow, parameters=flow.serialize_parameters(parameters))
        outcome: Outcome = {}
        try:
            outcome["value"] = plain(_call(flow, flow_run, parameters))
        except BaseException as error:
            outcome["cause"] = type(error).__name__
        state = client.read_flow_run(flow_run.id).state
    outcome |= {"state": state.name, "message": steady(state.message) or None}
    return str(flow_run.id), outcome


def _call(flow: Any, flow_run: Any, parameters: dict[str, Any]) -> Any:
    call = partial(run_flow, flow, flow_run, get_call_parameters(flow.fn, (), parameters))
    if flow.isgenerator:
        return asyncio.run(_listed(call())) if flow.isasync else list(call())
    state = asyncio.run(call(return_type="state")) if flow.isasync else call(return_type="state")
    return state.result()


async def _listed(items: Any) -> list[Any]:
    return [item async for item in items]


def told(client: SyncPrefectClient, run_id: str) -> Outcome:
    """Return what the API tells of a flow run."""
    flow_run = client.read_flow_run(run_id)
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    children = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id])),
        sort=FlowRunSort.ID_DESC,
        limit=200,
    )
    # Not by the method of the client: it sends nulls that the server refuses.
    asked = {"artifacts": {"flow_run_id": {"any_": [run_id]}}, "sort": "KEY_ASC", "limit": 200}
    artifacts = client.request("POST", "/artifacts/filter", json=asked).json()
    return {
        "states": [_state(state) for state in client.read_flow_run_states(run_id)],
        "final": _state(flow_run.state),
        "persisted": flow_run.state is not None and flow_run.state.data is not None,
        "run_count": flow_run.run_count,
        "tags": sorted(flow_run.tags),
        "named": flow_run.name if flow_run.name.startswith(("named", "child")) else None,
        "timed": [flow_run.start_time is not None, flow_run.end_time is not None],
        "subflows": sorted((told(client, str(child.id)) for child in children), key=json.dumps),
        "tasks": sorted(
            _task(client, task)
            for task in client.read_task_runs(flow_run_filter=of_run, sort=TaskRunSort.ID_DESC, limit=200)
        ),
        "artifacts": [
            [a["key"], a["type"], a.get("description"), a["data"], a.get("task_run_id") is not None]
            for a in artifacts
            if a.get("key")  # a server also makes one, without a key, of each persisted result
        ],
    }


def _state(state: State[Any] | None) -> list[Any]:
    assert state is not None
    return [state.type.value, state.name, steady(state.message) or None]


def _task(client: SyncPrefectClient, task: Any) -> list[Any]:
    states = [state.name for state in client.read_task_run_states(task.id)]
    about = [task.run_count, task.flow_run_run_count, sorted(task.tags), sorted(task.task_inputs)]
    return [steady(task.name), states, *_state(task.state), about]


def told_at_last(client: SyncPrefectClient, run_ids: dict[str, str]) -> dict[str, Outcome]:
    """Return what the API tells of all runs, once it has heard of everything."""
    before: dict[str, Outcome] = {}
    for _ in range(30):
        now = {name: told(client, run_id) for name, run_id in run_ids.items()}
        if now == before:
            break
        before = now
        time.sleep(1.5)
    return before


def logged(client: SyncPrefectClient, run_id: str) -> list[str]:
    """Return the lines that the scenarios wrote, as the API keeps them."""
    lines = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id])), limit=200, offset=0)
    return sorted(line.message for line in lines if LOGGED.match(line.message))


def main(how: str, target: str) -> None:
    """Run all scenarios and write their outcomes."""
    run = {"local": run_local, "bare": run_bare}[how]
    run_ids: dict[str, str] = {}
    outcomes: dict[str, Outcome] = {}
    for name, (flow, parameters) in SCENARIOS.items():
        basics.SEEN.clear()
        run_ids[name], outcomes[name] = run(flow, parameters)
        outcomes[name]["seen"] = [item for item in basics.SEEN if isinstance(item, str)]
    with connect(None, None).entered() as client:
        for name, outcome in told_at_last(client, run_ids).items():
            outcomes[name].update(outcome)
            outcomes[name].setdefault("logs", logged(client, run_ids[name]) if how == "bare" else None)
    Path(target).write_text(json.dumps(outcomes, indent=1, sort_keys=True))


if __name__ == "__main__":
    # Heartbeats make each run a second longer, and cannot be switched off by the environment.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        main(*sys.argv[1:])
