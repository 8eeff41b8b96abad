"""The main job, its YAML unchanged, on every backend: the same values, files and results."""

from __future__ import annotations

import os
from importlib.resources import files

import backend_flows
import pytest

from lume_services.config import build_context, close_context, use_context
from lume_services.errors import FlowParametersError, StepFailedError
from lume_services.flows import FlowOfFlows
from lume_services.testing import isolated_settings
from lume_services.values import fingerprint

WAIT = 120
SPEC = files("lume_services.examples.quad_scan") / "quad_scan.yaml"
PARAMETERS = {"beam": {"n_particle": 5000}, "track": {"points": 9}}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What the job gives in this process."""
    context = build_context(isolated_settings(tmp_path_factory.mktemp("expected")))
    with use_context(context):
        run = FlowOfFlows.from_yaml(SPEC).run(PARAMETERS)
        records = outputs(context)
    close_context(context)
    return run.results, records


def outputs(context):
    """The fingerprints of the outputs of all stored results."""
    records = context.results_db_service().find_all(collection="quad_scan")
    return sorted(fingerprint(record["outputs"]) for record in records)


def test_the_main_job(context, expected):
    results, records = expected
    run = FlowOfFlows.from_yaml(SPEC).run(PARAMETERS)
    assert run.state.is_completed()
    assert run.results["fit"]["emittance_x"] == results["fit"]["emittance_x"]
    assert outputs(context) == records
    assert {step.state for step in run.steps.values()} == {"completed"}


def test_a_step_that_fails(context):
    with pytest.raises(StepFailedError, match="larger pixel_size"):
        FlowOfFlows.from_yaml(SPEC).run({"beam": {"n_particle": 1000}, "track": {"pixel_size": 1e-7}})


def test_the_whole_as_one_flow(service, context, expected, name):
    """It is registered with its spec, and run by its name; where it has a worker, in a job of its own."""
    results, records = expected
    composed = FlowOfFlows.from_yaml(SPEC)
    registered = composed.register(labels=["whole"])
    assert registered == "quad_scan/quad_scan"
    assert composed.register(labels=["whole"]) == registered
    assert registered in service.list_flows()
    handle = service.run(flow=registered, parameters=PARAMETERS)
    assert "whole" in handle.tags
    value = handle.result(WAIT)
    assert value["fit"]["emittance_x"] == results["fit"]["emittance_x"]
    assert set(records) <= set(outputs(context))
    resumed = composed.run(resume=handle.run_id)
    assert {step.state for step in resumed.steps.values()} == {"reused"}
    with pytest.raises(FlowParametersError, match="Did you mean 'beam'"):
        service.run(flow=registered, parameters={"beem": {}})


def test_steps_have_places_of_their_own(context, name):
    """One step where the parent is, one with a variable of its own where the backend has its place."""
    here = {"name": "place", "alias": "here", "run_config": {"backend": "local"}}
    there = {
        "name": "place",
        "alias": "there",
        "run_config": {"env": {"PLACE": "there"}},
        "mapped_parameters": {"after": {"parent_flow_name": "here"}},
    }
    spec = {"name": "places", "composing_flows": [here, there]}
    results = FlowOfFlows.from_yaml(spec, flows=[backend_flows.place]).run().results
    assert results["here"] == {"process": os.getpid(), "variable": None}
    assert results["there"]["variable"] == "there"
    assert (results["there"]["process"] == os.getpid()) is (name == "local")
