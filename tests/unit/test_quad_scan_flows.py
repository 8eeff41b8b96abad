"""The flows of the quad_scan example, each by itself, and its spec."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import h5py
import numpy as np
import pytest

from lume_services.errors import FlowFailedError
from lume_services.examples.quad_scan import flows
from lume_services.examples.quad_scan.beam import true_twiss
from lume_services.files import load_reference
from lume_services.flows import FlowOfFlows

SPEC = files("lume_services.examples.quad_scan") / "quad_scan.yaml"


@pytest.fixture
def run(lume_context):
    service = lume_context.scheduling_service()
    return lambda flow, **parameters: service.run_and_return(flow=flow, parameters=parameters)


def test_a_check_of_the_spec_imports_no_physics():
    code = (
        "import sys; from lume_services.flows import FlowOfFlows; "
        f"FlowOfFlows.from_yaml({str(SPEC)!r}); "
        "print({'scipy', 'matplotlib', 'beamphysics'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_spec_composes_the_three_flows():
    assert list(FlowOfFlows.from_yaml(SPEC).plan.steps) == ["beam", "track", "fit"]


def test_beam_is_stored_as_openpmd(run):
    reference = run(flows.beam, n_particle=1000, energy=6e6)
    particles = load_reference(reference).read()
    assert len(particles) == 1000
    assert particles.avg("energy") == pytest.approx(6e6, rel=1e-3)
    with h5py.File(load_reference(reference).path()) as file:
        assert "BeamPhysics" in np.bytes_(file.attrs["openPMDextension"]).decode()


def test_beam_is_read_from_a_file(run, tmp_path, monkeypatch):
    generated = load_reference(run(flows.beam, n_particle=1000)).read()
    generated.write(str(tmp_path / "mine.h5"))
    monkeypatch.chdir(tmp_path)
    for name in ("mine.h5", str(tmp_path / "mine.h5")):
        read = load_reference(run(flows.beam, input_file=name)).read()
        for key in ("x", "px", "y", "py", "z", "pz", "t", "weight"):
            np.testing.assert_array_equal(read[key], generated[key])
        assert true_twiss(read, "y") == true_twiss(generated, "y")


def test_a_file_that_holds_no_particles_is_named(run, tmp_path):
    (tmp_path / "notes.h5").write_text("no particles")
    with pytest.raises(FlowFailedError, match="notes.h5"):
        run(flows.beam, input_file=str(tmp_path / "notes.h5"))
    with pytest.raises(FlowFailedError, match="missing.h5"):
        run(flows.beam, input_file=str(tmp_path / "missing.h5"))


def test_runs_do_not_overwrite_each_others_files(run):
    first, second = (run(flows.beam, n_particle=1000, seed=seed) for seed in (1, 2))
    assert first["filename"] != second["filename"]
    assert load_reference(first).read().x[0] != load_reference(second).read().x[0]


@pytest.mark.parametrize(
    ("flow", "parameters"),
    [
        (flows.beam, {"energy": -1.0}),
        (flows.beam, {"chirp": 1.5}),
        (flows.beam, {"n_particle": 10}),
        (flows.track, {"beam_file": {}, "points": 3}),
        (flows.track, {"beam_file": {}, "pixel_size": 0.0}),
    ],
)
def test_senseless_parameters_are_refused(run, flow, parameters):
    with pytest.raises(Exception, match=next(reversed(parameters))):
        run(flow, **parameters)


def test_scan_goes_where_it_is_told(run, lume_context):
    beam_file = run(flows.beam, n_particle=1000)
    run(flows.track, beam_file=beam_file, points=5, gradient_min=-1.0, gradient_max=3.0, pixel_size=20e-6)
    record = lume_context.results_db_service().find_one(collection=flows.PROJECT, query={})
    assert record["outputs"]["gradient"] == [-1.0, 0.0, 1.0, 2.0, 3.0]
    assert record["inputs"]["pixel_size"] == 20e-6
    assert record["inputs"]["momentum"] == pytest.approx(135e6, rel=1e-3)
    assert record["inputs"]["momentum_spread"] == pytest.approx(1e-3, rel=0.1)
