"""The beamline of the quad_scan example against the theory of linear optics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from lume_services.examples.quad_scan.beam import Twiss, generate_beam, true_twiss
from lume_services.examples.quad_scan.fit import Bunch, design_matrix
from lume_services.examples.quad_scan.transport import PLANES, Beamline, quadrupole, rigidity, track

LINE = Beamline(quad_length=0.108, drift_length=2.26)
strengths = st.floats(-100, 100)
lengths = st.floats(0.01, 0.5)


def make_beam(energy_spread=0.0, n_particle=20_000):
    return generate_beam(
        energy=135e6,
        charge=250e-12,
        n_particle=n_particle,
        twiss_x=Twiss(1.0e-6, 6.0, -1.0),
        twiss_y=Twiss(0.8e-6, 8.0, 0.5),
        bunch_length=2.5e-12,
        energy_spread=energy_spread,
        chirp=0.8,
        seed=7,
    )


@given(strength=strengths, length=lengths)
def test_quadrupole_solves_the_equation_of_motion(strength, length):
    # x'' = -k x, as a first-order system, whose solution is a matrix exponential
    exact = expm(length * np.array([[0, 1], [-strength, 0]]))
    np.testing.assert_allclose(quadrupole(strength, length), exact, rtol=1e-10, atol=1e-12)


@given(strength=strengths, length=lengths)
def test_transport_is_symplectic(strength, length):
    matrix = Beamline(length, 2.26).matrix(strength)
    terms = matrix[0, 0] * matrix[1, 1], matrix[0, 1] * matrix[1, 0]
    assert terms[0] - terms[1] == pytest.approx(1, abs=1e-14 * (1 + abs(terms[0]) + abs(terms[1])))


@given(strength=strengths, length=lengths)
def test_two_halves_make_the_whole(strength, length):
    half = quadrupole(strength, length / 2)
    np.testing.assert_allclose(half @ half, quadrupole(strength, length), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("strength", [0.0, 1e-300, -1e-300, 1e-12, -1e-12])
def test_without_strength_the_quadrupole_is_a_drift(strength):
    np.testing.assert_allclose(quadrupole(strength, 0.1), [[1, 0.1], [0, 1]], rtol=0, atol=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_short_quadrupole_is_a_thin_lens(sign):
    focal_length = 2.0
    errors = []
    for length in (1e-2, 1e-3):
        matrix = quadrupole(sign / (focal_length * length), length)
        errors.append(np.abs(matrix - [[1, 0], [-sign / focal_length, 1]]).max())
    assert errors[0] < 1.1e-2
    # The deviation from the thin lens vanishes with the length.
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.01)


def test_many_strengths_at_once_are_the_same_as_one_by_one():
    many = np.array([[-9.0, -1e-9, 0.0], [1e-9, 4.0, 30.0]])
    matrices = LINE.matrix(many)
    assert matrices.shape == (2, 2, 2, 3)
    for index, strength in np.ndenumerate(many):
        np.testing.assert_array_equal(matrices[(..., *index)], LINE.matrix(strength))


def test_rigidity_of_135_mev():
    assert rigidity(135e6) == pytest.approx(0.4503, abs=1e-4)


def test_a_parallel_beam_is_focused_at_half_the_reach():
    half = LINE.reach(135e6) / 2
    r11 = LINE.matrix(half / rigidity(135e6))[0, 0]
    # A thick quadrupole differs from the thin lens of the same strength by the order of its length.
    assert r11 == pytest.approx(0, abs=LINE.quad_length / LINE.drift_length)


def test_positive_gradient_focuses_in_x_and_negative_in_y():
    beam = make_beam()
    (x, y), (x_minus, y_minus) = track(beam, LINE, [2.0, -2.0])
    assert np.std(x) < np.std(x_minus)
    assert np.std(y_minus) < np.std(y)


def test_emittance_is_conserved_without_energy_spread():
    beam = make_beam()
    strength = 2.0 / rigidity(beam.p[0])
    slope = beam.px / beam.pz
    before = np.linalg.det(np.cov(beam.x, slope))
    (r11, r12), (r21, r22) = LINE.matrix(strength)
    after = np.linalg.det(np.cov(r11 * beam.x + r12 * slope, r21 * beam.x + r22 * slope))
    assert after == pytest.approx(before, rel=1e-10)


def test_emittance_grows_by_chromaticity():
    beam = make_beam(energy_spread=0.05)
    slope = beam.px / beam.pz
    (r11, r12), (r21, r22) = LINE.matrix(2.0 / rigidity(beam.p))
    before = np.linalg.det(np.cov(beam.x, slope))
    after = np.linalg.det(np.cov(r11 * beam.x + r12 * slope, r21 * beam.x + r22 * slope))
    # To leading order the quadrupole adds (strength * length * spread * s11)² to the determinant.
    kick = 2.0 / rigidity(np.mean(beam.p)) * LINE.quad_length * 0.05 * np.var(beam.x)
    assert after - before == pytest.approx(kick**2, rel=0.1)


@pytest.mark.parametrize("plane", ["x", "y"])
def test_particles_spread_on_the_screen_as_the_beam_matrix_says(plane):
    beam = make_beam()
    gradients = np.linspace(-4, 4, 9)
    sizes = [np.var(positions["xy".index(plane)]) for positions in track(beam, LINE, gradients)]
    sigma = np.cov(beam[plane], beam[f"p{plane}"] / beam.pz, ddof=0)[[0, 0, 1], [0, 1, 1]]
    bunch = Bunch(float(beam.avg("p")), 0.0, beam.mass)
    np.testing.assert_allclose(design_matrix(LINE, gradients, bunch, plane) @ sigma, sizes, rtol=1e-6)


@pytest.mark.parametrize("plane", list(PLANES))
def test_design_matrix_averages_over_the_momentum_spread(plane):
    beam = make_beam(energy_spread=0.05, n_particle=400_000)
    gradients = np.linspace(-3.7, 3.7, 9)
    tracked = [np.var(positions["xy".index(plane)]) for positions in track(beam, LINE, gradients)]
    sigma = np.cov(beam[plane], beam[f"p{plane}"] / beam.pz, ddof=0)[[0, 0, 1], [0, 1, 1]]
    momentum = float(beam.avg("p"))
    worst = {}
    for spread in (0.0, float(beam.std("p")) / momentum):
        model = design_matrix(LINE, gradients, Bunch(momentum, spread, beam.mass), plane) @ sigma
        worst[spread > 0] = np.abs(model / tracked - 1).max()
    assert worst[False] > 0.015  # a fit without the spread would be wrong by this much
    assert worst[True] < 0.004  # what is left is the chance correlation of momentum with position


def test_a_round_beam_without_quadrupole_grows_as_in_a_drift():
    beam = make_beam()
    ((x, _),) = track(beam, LINE, [0.0])
    twiss = true_twiss(beam, "x")
    length = LINE.quad_length + LINE.drift_length
    gamma = (1 + twiss.alpha**2) / twiss.beta
    beta = twiss.beta - 2 * twiss.alpha * length + gamma * length**2
    emittance = twiss.emittance * beam.mass / beam.avg("p")
    assert np.std(x) == pytest.approx(np.sqrt(emittance * beta), rel=1e-3)
