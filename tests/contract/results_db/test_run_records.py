"""What is kept of runs, in every store: a run that is resumed takes it from there."""

import numpy as np
import pytest
from prefect import flow

from lume_services.config import build_context, close_context, use_context
from lume_services.errors import StepFailedError
from lume_services.flows import FlowOfFlows
from lume_services.flows.runs.records import RunRecords

allowed: list[bool] = []


@flow
def shoot(rows: int = 300) -> dict[str, np.ndarray]:
    return {"image": np.arange(rows * 100.0).reshape(rows, 100), "LINAC:BPM.1$": np.array([1.5])}


@flow
def fit(shot: dict) -> float:
    if not allowed:
        raise ValueError("no fit yet")
    return float(shot["image"].sum() + shot["LINAC:BPM.1$"][0])


SPEC = {
    "name": "kept.in$store",
    "composing_flows": [
        {"name": "shoot"},
        {"name": "fit", "mapped_parameters": {"shot": {"parent_flow_name": "shoot"}}},
    ],
}


@pytest.fixture
def context(store_settings, tmp_path):
    context = build_context({"home": str(tmp_path), "results_db": store_settings})
    with use_context(context):
        yield context
    close_context(context)
    allowed.clear()


def test_a_run_is_resumed(context):
    composed = FlowOfFlows.from_yaml(SPEC, flows=[shoot, fit])
    with pytest.raises(StepFailedError) as failed:
        composed.run({"shoot": {"rows": 200}})
    allowed.append(True)
    run = composed.run(resume=failed.value.whole_run_id)
    assert {step: event.state for step, event in run.steps.items()} == {"shoot": "reused", "fit": "completed"}
    assert run.results["fit"] == np.arange(20_000.0).sum() + 1.5
    assert type(run.results["shoot"]["image"]) is np.ndarray
    assert context.results_db_service().collections() == []


def test_what_is_kept_can_be_deleted(context):
    allowed.append(True)
    composed = FlowOfFlows.from_yaml(SPEC, flows=[shoot, fit])
    first, other = composed.run(), composed.run()
    composed.run(resume=first.run_id)
    records = RunRecords()
    assert {run.root for run in records.runs(SPEC["name"])} == {first.run_id, other.run_id}
    assert records.delete([first.run_id]) == 2
    assert [run.run_id for run in records.runs()] == [other.run_id]
    assert records.steps(first.run_id) == []
    assert {step.step for step in records.steps(other.run_id)} == {"shoot", "fit"}
