"""The particles of the quad_scan example: generated, read from a file, and their statistics."""

from __future__ import annotations

import numpy as np
import pytest

from lume_services.examples.quad_scan.beam import (
    ELECTRON_MASS,
    Twiss,
    at_one_place,
    generate_beam,
    true_twiss,
)

PARAMETERS = {
    "energy": 135e6,
    "charge": 250e-12,
    "n_particle": 100_000,
    "twiss_x": Twiss(1.0e-6, 6.0, -1.0),
    "twiss_y": Twiss(0.8e-6, 8.0, 0.5),
    "bunch_length": 2.5e-12,
    "energy_spread": 1e-3,
    "chirp": 0.8,
    "seed": 1,
}
# Five standard deviations of a second moment of 100 000 particles.
SAMPLING = 5 * np.sqrt(2 / 100_000)


@pytest.mark.parametrize("energy", [6e6, 135e6])
def test_generated_beam_has_the_parameters_asked_for(energy):
    beam = generate_beam(**PARAMETERS | {"energy": energy})
    assert len(beam) == 100_000
    assert beam.charge == pytest.approx(250e-12)
    assert beam.mass == pytest.approx(ELECTRON_MASS, rel=1e-8)
    assert beam.avg("energy") == pytest.approx(energy, rel=1e-3 * SAMPLING)
    assert beam.std("energy") == pytest.approx(1e-3 * energy, rel=SAMPLING)
    assert beam.std("t") == pytest.approx(2.5e-12, rel=SAMPLING)
    assert np.corrcoef(beam.t, beam.energy)[0, 1] == pytest.approx(0.8, abs=SAMPLING)
    for plane in ("x", "y"):
        wanted, found = PARAMETERS[f"twiss_{plane}"], true_twiss(beam, plane)
        assert found.emittance == pytest.approx(wanted.emittance, rel=SAMPLING)
        assert found.beta == pytest.approx(wanted.beta, rel=2 * SAMPLING)
        assert found.alpha == pytest.approx(wanted.alpha, abs=2 * SAMPLING)


def test_the_planes_are_independent():
    beam = generate_beam(**PARAMETERS)
    correlation = np.corrcoef([beam.x, beam.px, beam.y, beam.py])
    assert np.abs(correlation[:2, 2:]).max() < SAMPLING


def test_the_seed_decides_the_particles():
    first, again, other = (generate_beam(**PARAMETERS | {"seed": seed}) for seed in (1, 1, 2))
    for key in ("x", "px", "y", "py", "pz", "t"):
        np.testing.assert_array_equal(first[key], again[key])
        assert not np.any(first[key] == other[key])


def test_energy_below_the_rest_energy_is_refused():
    with pytest.raises(ValueError, match="must exceed the rest energy"):
        generate_beam(**PARAMETERS | {"energy": 0.5e6})


@pytest.mark.parametrize("plane", ["x", "y"])
def test_truth_agrees_with_openpmd_beamphysics(plane):
    beam = generate_beam(**PARAMETERS)
    theirs = beam.twiss(plane)
    ours = true_twiss(beam, plane)
    # They divide by the mean momentum and take out the dispersion; here both differences are chance.
    assert ours.emittance == pytest.approx(theirs[f"norm_emit_{plane}"], rel=1e-4)
    assert ours.beta == pytest.approx(theirs[f"beta_{plane}"], rel=1e-4)
    assert ours.alpha == pytest.approx(theirs[f"alpha_{plane}"], abs=1e-4)


def test_a_particle_of_double_weight_counts_as_two():
    beam = generate_beam(**PARAMETERS | {"n_particle": 10_000})
    heavy = beam.copy()
    heavy.weight = np.where(beam.x > 0, 2.0, 1.0)
    repeated = beam + beam.where(beam.x > 0)
    for plane in ("x", "y"):
        assert true_twiss(heavy, plane) == pytest.approx(true_twiss(repeated, plane), rel=1e-3)
        assert true_twiss(heavy, plane) != pytest.approx(true_twiss(beam, plane), rel=1e-3)


def test_lost_particles_are_left_out():
    beam = generate_beam(**PARAMETERS | {"n_particle": 1000})
    beam.status = np.where(np.arange(1000) < 100, 0, 1)
    kept = at_one_place(beam)
    assert len(kept) == 900
    np.testing.assert_array_equal(kept.x, beam.x[100:])


def test_particles_at_one_time_are_drifted_to_one_place():
    beam = generate_beam(**PARAMETERS | {"n_particle": 1000})
    at_one_time = beam.copy()
    at_one_time.drift_to_t(0.0)
    assert np.ptp(at_one_time.z) > 1e-3
    moved = at_one_place(at_one_time)
    assert np.ptp(moved.z) == 0
    expected = beam.copy()
    expected.drift_to_z(moved.z[0])
    np.testing.assert_allclose(moved.x, expected.x, rtol=0, atol=1e-15)
    np.testing.assert_allclose(moved.t, expected.t, rtol=0, atol=1e-20)


def test_particles_at_one_place_are_left_alone():
    beam = generate_beam(**PARAMETERS | {"n_particle": 1000})
    same = at_one_place(beam)
    for key in ("x", "px", "y", "py", "z", "pz", "t", "weight"):
        np.testing.assert_array_equal(same[key], beam[key])
