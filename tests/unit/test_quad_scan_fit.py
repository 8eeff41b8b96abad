"""The fit of the quad_scan example: exact without noise, honest with it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from lume_services.examples.quad_scan.beam import ELECTRON_MASS, Twiss, generate_beam, true_twiss
from lume_services.examples.quad_scan.fit import Bunch, design_matrix, fit_plane, fitted_sizes
from lume_services.examples.quad_scan.plot import plot_scan
from lume_services.examples.quad_scan.report import outputs, summary
from lume_services.examples.quad_scan.scan import scan, zoomed_camera
from lume_services.examples.quad_scan.transport import PLANES, Beamline

LINE = Beamline(quad_length=0.108, drift_length=2.26)
BUNCH = Bunch(momentum=135e6, momentum_spread=1e-3, mass=ELECTRON_MASS)
TRUTH = {"x": Twiss(1.0e-6, 6.0, -1.0), "y": Twiss(0.8e-6, 8.0, 0.5)}
GRADIENTS = np.linspace(-3.7, 3.7, 21)


def exact_sizes(truth, plane, error=0.003):
    emittance = truth.emittance * BUNCH.mass / BUNCH.momentum
    sigma = emittance * np.array([truth.beta, -truth.alpha, (1 + truth.alpha**2) / truth.beta])
    size = np.sqrt(design_matrix(LINE, GRADIENTS, BUNCH, plane) @ sigma)
    return {"gradient": GRADIENTS.tolist(), f"size_{plane}": size, f"size_{plane}_error": error * size}


def measured(seed, *, energy=135e6, energy_spread=1e-3):
    """Measure a beam as the three flows do; return sizes, fits and truth."""
    beam = generate_beam(
        energy=energy,
        charge=250e-12,
        n_particle=100_000,
        twiss_x=TRUTH["x"],
        twiss_y=TRUTH["y"],
        bunch_length=2.5e-12,
        energy_spread=energy_spread,
        chirp=0.8,
        seed=seed,
    )
    momentum = float(beam.avg("p"))
    gradients = np.linspace(-LINE.reach(momentum), LINE.reach(momentum), 15)
    camera = zoomed_camera(beam, LINE, gradients)
    images, sizes = scan(beam, LINE, gradients, camera, seed)
    bunch = Bunch(momentum, float(beam.std("p")) / momentum, beam.mass)
    fits = {plane: fit_plane(sizes, LINE, bunch, plane) for plane in PLANES}
    truth = {plane: true_twiss(beam, plane) for plane in PLANES}
    return images, camera, sizes, bunch, fits, truth


@pytest.mark.parametrize("plane", ["x", "y"])
@pytest.mark.parametrize("truth", [TRUTH["x"], TRUTH["y"], Twiss(0.1e-6, 1.1, 0.0)])
def test_sizes_without_noise_give_the_exact_beam(plane, truth):
    fit = fit_plane(exact_sizes(truth, plane), LINE, BUNCH, plane)
    assert fit.twiss == pytest.approx(truth, rel=1e-9, abs=1e-12)
    assert fit.points == 21
    assert fit.chi2 == pytest.approx(0, abs=1e-12)


def test_uncertainties_are_those_of_repeated_measurements():
    sizes = exact_sizes(TRUTH["x"], "x")
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((2000, 21))
    fits = [
        fit_plane(sizes | {"size_x": sizes["size_x"] * (1 + 0.003 * row)}, LINE, BUNCH, "x") for row in noise
    ]
    scatter = np.std([fit.twiss for fit in fits], axis=0)
    # 2000 measurements tell the scatter to 2 %.
    assert fit_plane(sizes, LINE, BUNCH, "x").error == pytest.approx(scatter, rel=0.08)
    assert np.mean([fit.chi2 for fit in fits]) == pytest.approx(1, abs=0.05)
    assert np.mean([fit.twiss for fit in fits], axis=0) == pytest.approx(
        TRUTH["x"], abs=5 * scatter.max() / np.sqrt(2000), rel=1e-3
    )


def test_sizes_that_scatter_too_much_widen_the_uncertainties():
    sizes = exact_sizes(TRUTH["x"], "x")
    sizes["size_x"] = sizes["size_x"] * (1 + 0.02 * np.random.default_rng(1).standard_normal(21))
    fit = fit_plane(sizes, LINE, BUNCH, "x")
    assert fit.chi2 > 10
    # With the scatter told as the uncertainty, the same sizes fit well and the uncertainties are similar.
    honest = fit_plane(sizes | {"size_x_error": 0.02 * sizes["size_x"]}, LINE, BUNCH, "x")
    assert honest.chi2 < 2
    assert fit.error == pytest.approx(honest.error, rel=0.5)


def test_sizes_that_were_not_measured_are_left_out():
    sizes = exact_sizes(TRUTH["x"], "x")
    holes = {
        key: [None if i % 4 == 0 else v for i, v in enumerate(sizes[key])]
        for key in ("size_x", "size_x_error")
    }
    fit = fit_plane(sizes | holes, LINE, BUNCH, "x")
    assert fit.points == 15
    assert fit.twiss == pytest.approx(TRUTH["x"], rel=1e-9)


def test_too_few_sizes_are_refused():
    sizes = exact_sizes(TRUTH["y"], "y")
    sizes["size_y"] = [*sizes["size_y"][:3], *[None] * 18]
    with pytest.raises(
        ValueError, match=re.escape("beam sizes in y were measured at 3 of 21 gradients and a fit takes 4")
    ):
        fit_plane(sizes, LINE, BUNCH, "y")


def test_many_sizes_at_one_gradient_are_refused():
    sizes = exact_sizes(TRUTH["y"], "y")
    with pytest.raises(ValueError, match="at 1 of 21 gradients"):
        fit_plane(sizes | {"gradient": [1.0] * 21}, LINE, BUNCH, "y")


def test_sizes_of_no_beam_are_refused():
    sizes = exact_sizes(TRUTH["x"], "x")
    # A quadrupole makes squared sizes curve upwards; these curve downwards.
    sizes["size_x"] = 1e-4 * (1 - (GRADIENTS / 5) ** 2)
    with pytest.raises(ValueError, match="the emittance would be imaginary"):
        fit_plane(sizes, LINE, BUNCH, "x")


@pytest.mark.parametrize(
    ("energy", "energy_spread", "seeds"), [(135e6, 1e-3, 10), (6e6, 5e-3, 4), (135e6, 2e-2, 4)]
)
def test_measurement_agrees_with_the_particles_within_its_uncertainty(energy, energy_spread, seeds):
    pulls, chi2 = [], []
    for seed in range(seeds):
        *_, fits, truth = measured(seed, energy=energy, energy_spread=energy_spread)
        for plane, fit in fits.items():
            pulls.append((np.array(fit.twiss) - truth[plane]) / fit.error)
            chi2.append(fit.chi2)
            assert fit.error.emittance < 0.01 * truth[plane].emittance
    # 2 * seeds pulls of each Twiss parameter, which should be standard normal.
    assert np.abs(pulls).max() < 3
    assert np.abs(np.mean(pulls, axis=0)).max() < 4 / np.sqrt(2 * seeds)
    assert np.std(pulls) == pytest.approx(1, abs=0.4)
    assert np.mean(chi2) == pytest.approx(1, abs=0.4)


def test_report_and_picture_of_a_measurement():
    import matplotlib.pyplot as plt

    images, camera, sizes, bunch, fits, truth = measured(1)
    values = outputs(fits, truth)
    assert values["emittance_x"] == fits["x"].twiss.emittance
    assert values["beta_y_error"] == fits["y"].error.beta
    assert values["alpha_y_true"] == truth["y"].alpha
    assert values["points_x"] == 15
    text = summary(values)
    found = re.search(r"emittance_y +([\d.]+) ± ([\d.]+) µm +([\d.]+) µm", text)
    expected = [1e6 * values[f"emittance_y{part}"] for part in ("", "_error", "_true")]
    assert [float(number) for number in found.groups()] == pytest.approx(expected, abs=1e-4)

    curves = fitted_sizes(fits, LINE, bunch, sizes["gradient"])
    on_curve = np.interp(sizes["gradient"], curves["gradient"], curves["size_x"])
    np.testing.assert_allclose(on_curve, sizes["size_x"], rtol=0.03)
    # A size that was not measured leaves a gap.
    picture = plot_scan(
        sizes | {"size_x": [None, *sizes["size_x"][1:]]}, curves, images, camera.position, text
    )
    assert picture.width > 1000
    assert picture.height > 600
    assert len(picture.convert("RGB").getcolors(maxcolors=1_000_000)) > 500
    assert plt.get_fignums() == []
