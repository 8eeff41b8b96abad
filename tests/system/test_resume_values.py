"""What a step gave is taken from an earlier run as it was, and only if it is still there."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from prefect import flow, task
from resume_flows import count, ran, reused, why

from lume_services.files import TextFile, load_reference
from lume_services.flows import FlowOfFlows
from lume_services.results import Result
from lume_services.tasks import save_db_result, save_file


def saving(tmp_path: Path) -> FlowOfFlows:
    @flow
    def write(text: str = "hello") -> dict[str, Any]:
        return save_file(text, filename=str(tmp_path / "a.txt"), file_type=TextFile)

    @flow
    def store(reference: dict[str, Any]) -> dict[str, Any]:
        text = load_reference(reference).read()
        return save_db_result(Result(project_name="saved", outputs={"text": text}))

    spec = {
        "name": "saving",
        "composing_flows": [
            {"name": "write"},
            {"name": "store", "mapped_parameters": {"reference": {"parent_flow_name": "write"}}},
        ],
    }
    return FlowOfFlows.from_yaml(spec, [write, store])


def test_a_step_runs_again_whose_file_is_gone_or_changed(lume_context, tmp_path):
    composed = saving(tmp_path)
    composed.run()
    assert reused(composed.run(resume="latest")) == {"write", "store"}
    (tmp_path / "a.txt").unlink()
    run = composed.run(resume="latest")
    assert ran(run) == {"write"}
    assert why(run, "write").startswith("what it gave is not there any more: ")
    (tmp_path / "a.txt").write_text("edited")
    run = composed.run(resume="latest")
    assert ran(run) == {"write"}
    assert "is not the one that was written" in why(run, "write")


def test_a_step_runs_again_whose_result_is_gone(lume_context, tmp_path):
    composed = saving(tmp_path)
    composed.run()
    lume_context.results_db_service().delete(collection="saved", query={})
    run = composed.run(resume="latest")
    assert ran(run) == {"store"}
    assert why(run, "store").startswith("what it gave is not there any more: ")


def test_a_value_comes_back_as_it_was(lume_context):
    image = np.arange(120_000.0).reshape(400, 300)

    @flow
    def shoot() -> dict[str, Any]:
        return {"image": image, "pixel": (3, 4), "name": b"OTR"}

    @flow
    def shape(shot: Any) -> tuple[str, tuple[int, int]]:
        return type(shot["image"]).__name__, shot["pixel"]

    mapped = {"shot": {"parent_flow_name": "shoot"}}
    spec = {
        "name": "a",
        "composing_flows": [{"name": "shoot"}, {"name": "shape", "mapped_parameters": mapped}],
    }
    composed = FlowOfFlows.from_yaml(spec, [shoot, shape])
    first = composed.run()
    again = composed.run(resume=first.run_id)
    assert reused(again) == {"shoot", "shape"}
    np.testing.assert_array_equal(again.results["shoot"]["image"], image)
    assert type(again.results["shoot"]["image"]) is np.ndarray
    assert again.results["shape"] == ("ndarray", (3, 4))
    # What a reused step gives is the same to the steps after it.
    assert composed.run(only="shape").results["shape"] == ("ndarray", (3, 4))


def test_a_value_that_cannot_be_stored_is_no_obstacle(lume_context):
    @flow
    def opaque() -> Any:
        return threading.Lock()

    @flow
    def use(lock: Any) -> bool:
        return bool(lock.acquire(blocking=False))

    mapped = {"lock": {"parent_flow_name": "opaque"}}
    spec = {
        "name": "a",
        "composing_flows": [{"name": "opaque"}, {"name": "use", "mapped_parameters": mapped}],
    }
    composed = FlowOfFlows.from_yaml(spec, [opaque, use])
    assert composed.run().results["use"] is True
    run = composed.run(resume="latest")
    assert ran(run) == {"opaque", "use"}
    assert "its value could not be stored" in why(run, "opaque")
    assert "its parameter 'lock' cannot be compared" in why(run, "use")


def test_the_value_of_a_task_is_taken_too(lume_context, counter):
    @task
    def inner(x: int) -> int:
        count(f"inner-{x}")
        return x + 1

    @flow
    def outer() -> int:
        return inner(1) + inner(2)

    @flow
    def last(values: list[int], total: int) -> int:
        return sum(values) - total

    mapped = {
        "values": {"parent_flow_name": "outer", "parent_task_name": "inner"},
        "total": {"parent_flow_name": "outer"},
    }
    spec = {
        "name": "a",
        "composing_flows": [{"name": "outer"}, {"name": "last", "mapped_parameters": mapped}],
    }
    composed = FlowOfFlows.from_yaml(spec, [outer, last])
    composed.run()
    run = composed.run(only="last")
    assert reused(run) == {"outer"}
    assert run.results["last"] == 0
    assert sorted(counter()) == ["inner-1", "inner-2"]
