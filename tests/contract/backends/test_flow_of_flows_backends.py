"""The main job, its YAML unchanged, on every backend: the same values, files and results."""

from __future__ import annotations

from importlib.resources import files

import pytest

from lume_services.config import build_context, close_context, use_context
from lume_services.errors import StepFailedError
from lume_services.flows import FlowOfFlows
from lume_services.testing import isolated_settings
from lume_services.values import fingerprint

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
