"""The memory of the in-process API."""

from __future__ import annotations

from lume_services.services.scheduling.standin.store import Store


def a_run(store: Store, flow_id: str, end: str | None = "COMPLETED") -> str:
    run = store.create("flow_runs", {"flow_id": flow_id, "state": {"type": "RUNNING"}}, size=100)
    store.create("task_runs", {"flow_run_id": run["id"], "task_key": "t", "dynamic_key": "0"})
    if end:
        store.set_flow_run_state(run["id"], {"type": end}, force=True)
    return run["id"]


def test_a_flow_has_the_same_id_in_every_process():
    """So that `flow_id`, on which results are unique, tells two flows apart and nothing else."""
    first, second = Store(), Store()
    assert first.create("flows", {"name": "a"})["id"] == second.create("flows", {"name": "a"})["id"]
    assert first.create("flows", {"name": "b"})["id"] != second.create("flows", {"name": "a"})["id"]


def test_ended_runs_are_forgotten_oldest_first():
    store = Store(kept_runs=3)
    flow_id = store.create("flows", {"name": "a"})["id"]
    running = a_run(store, flow_id, end=None)
    runs = [a_run(store, flow_id) for _ in range(10)]
    assert [run for run in runs if store.get("flow_runs", run)] == runs[-3:]
    assert store.get("flow_runs", running)
    size = store.size()
    for _ in range(10):
        a_run(store, flow_id)
    assert store.size() == size


def test_large_runs_are_forgotten_sooner():
    store = Store(kept_bytes=250)
    flow_id = store.create("flows", {"name": "a"})["id"]
    runs = [a_run(store, flow_id) for _ in range(5)]
    assert [run for run in runs if store.get("flow_runs", run)] == runs[-2:]
