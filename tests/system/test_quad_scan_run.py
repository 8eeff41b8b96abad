"""The main job: the quad_scan workflow from its spec, with all particles."""

from __future__ import annotations

from importlib.resources import files

import h5py
import numpy as np
import pytest

from lume_services.files import load_reference
from lume_services.flows import FlowOfFlows
from lume_services.results import Result, load_result

SPEC = files("lume_services.examples.quad_scan") / "quad_scan.yaml"


def test_the_main_job(lume_context):
    run = FlowOfFlows.from_yaml(SPEC).run()
    fitted = run.results["fit"]

    for plane, expected in (("x", 1.0e-6), ("y", 0.8e-6)):
        emittance, error, true = (fitted[f"emittance_{plane}{part}"] for part in ("", "_error", "_true"))
        assert abs(emittance - true) < 2 * error
        assert error < 0.01 * emittance
        assert true == pytest.approx(expected, rel=0.01)
    assert "emittance_x" in fitted["summary"]

    particles, images, plot = (load_reference(fitted["files"][kind]) for kind in ("beam", "images", "plot"))
    assert len(particles.read()) == 200_000
    with h5py.File(images.path()) as file:
        assert file["image"].shape == (21, 480, 480)
        assert file["gradient"].shape == (21,)
    assert plot.read().format == "PNG"

    results = lume_context.results_db_service()
    (record,) = results.find(collection="quad_scan", query={"outputs.emittance_x": {"$lt": 2e-6}})
    assert record["outputs"]["emittance_x"] == fitted["emittance_x"]
    assert load_result(fitted["result"]).id == record["_id"]
    sizes = Result.load_from_query("quad_scan", {"outputs.size_x": {"$exists": True}})
    assert record["inputs"]["sizes"] == sizes.outputs


def test_parameters_of_a_run_reach_their_steps(lume_context):
    parameters = {"beam": {"emittance_x": 3e-6, "energy": 6e6, "n_particle": 100_000}, "track": {"points": 9}}
    run = FlowOfFlows.from_yaml(SPEC).run(parameters)
    fitted = run.results["fit"]
    assert fitted["points_x"] == 9
    assert fitted["emittance_x"] == pytest.approx(
        fitted["emittance_x_true"], abs=3 * fitted["emittance_x_error"]
    )
    assert fitted["emittance_x_true"] == pytest.approx(3e-6, rel=0.02)
    images = load_reference(fitted["files"]["images"]).read()
    np.testing.assert_allclose(images["gradient"], -images["gradient"][::-1], atol=1e-12)


def test_a_scan_that_misses_the_beam_says_what_to_do(lume_context):
    with pytest.raises(Exception, match="larger pixel_size"):
        FlowOfFlows.from_yaml(SPEC).run({"beam": {"n_particle": 1000}, "track": {"pixel_size": 1e-7}})


def test_the_same_run_gives_the_same_files_and_results(lume_context):
    parameters = {"beam": {"n_particle": 5000}}
    first, second = (FlowOfFlows.from_yaml(SPEC).run(parameters).results["fit"] for _ in range(2))
    assert first == second
    assert lume_context.results_db_service().count(collection="quad_scan") == 2
