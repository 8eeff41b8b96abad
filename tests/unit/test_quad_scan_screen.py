"""The camera of the quad_scan example: what it sees, and how honestly it measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lume_services.examples.quad_scan.screen import SATURATION, Camera

CAMERA = Camera(pixel_size=10e-6, pixels=240)
CHARGE = 250e-12


def spot(size_x, size_y, *, n=100_000, seed=0, centre=(0.0, 0.0), charge=CHARGE):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, n)) * [[size_x], [size_y]] + np.array(centre)[:, None]
    return x, y, np.full(n, charge / n)


def test_image_holds_the_light_of_the_whole_charge():
    image = CAMERA.expose(*spot(100e-6, 60e-6), np.random.default_rng(1))
    assert image.shape == (240, 240)
    assert image.dtype == np.uint16
    expected = CHARGE * 1e12 * CAMERA.light_yield + CAMERA.background * image.size
    assert image.sum() == pytest.approx(expected, abs=5 * np.sqrt(expected))


def test_columns_are_x_and_rows_are_y():
    image = CAMERA.expose(*spot(20e-6, 20e-6, centre=(300e-6, -500e-6)), np.random.default_rng(1))
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert CAMERA.position[column] == pytest.approx(300e-6, abs=20e-6)
    assert CAMERA.position[row] == pytest.approx(-500e-6, abs=20e-6)


def test_the_seed_decides_the_noise():
    beam = spot(100e-6, 60e-6)
    first, again, other = (CAMERA.expose(*beam, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.5


@pytest.mark.parametrize(
    ("size_x", "size_y", "centre"),
    [
        (100e-6, 60e-6, (0.0, 0.0)),
        (25e-6, 160e-6, (0.0, 0.0)),  # two and a half pixels: width of pixel and blur are 15 % of it
        (40e-6, 40e-6, (437e-6, -291e-6)),
    ],
)
def test_sizes_are_measured_within_their_uncertainty(size_x, size_y, centre):
    x, y, weight = spot(size_x, size_y, centre=centre)
    rng = np.random.default_rng(3)
    pulls = []
    for _ in range(60):
        sizes = CAMERA.measure(CAMERA.expose(x, y, weight, rng))
        pulls.append([(size.rms - np.std(at)) / size.error for size, at in zip(sizes, (x, y), strict=True)])
    # Mean and scatter of 60 pulls are known to 0.13 and 0.09.
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.6
    assert np.all(np.std(pulls, axis=0) > 0.7)
    assert np.all(np.std(pulls, axis=0) < 1.35)


def test_heavy_particles_count_by_their_weight():
    x, y, weight = spot(100e-6, 60e-6)
    weight = np.where(np.abs(x) > 100e-6, 2 * weight, weight)
    measured, _ = CAMERA.measure(CAMERA.expose(x, y, weight, np.random.default_rng(1)))
    weighted = np.sqrt(np.average(x**2, weights=weight))
    assert measured.rms == pytest.approx(weighted, abs=4 * measured.error)
    assert abs(measured.rms - np.std(x)) > 10 * measured.error


def test_more_light_means_less_uncertainty():
    errors = [
        replace(CAMERA, light_yield=light)
        .measure(replace(CAMERA, light_yield=light).expose(*spot(100e-6, 60e-6), np.random.default_rng(1)))[0]
        .error
        for light in (1000.0, 4000.0)
    ]
    # Between 1/4, where the background's noise rules, and 1/2, where that of the beam's light does.
    assert errors[0] / 4 < errors[1] < errors[0] / 2


@pytest.mark.parametrize(
    "beam",
    [
        spot(100e-6, 60e-6, charge=0.0),
        spot(100e-6, 60e-6, centre=(1000e-6, 0.0)),
        spot(400e-6, 60e-6),
        spot(100e-6, 60e-6, centre=(1.0, 0.0)),
        spot(20e-6, 20e-6, charge=1000 * CHARGE),
    ],
    ids=["no beam", "at the edge", "too large", "off the screen", "saturated"],
)
def test_a_size_that_cannot_be_seen_is_not_made_up(beam):
    assert CAMERA.measure(CAMERA.expose(*beam, np.random.default_rng(1))) == (None, None)


def test_a_saturated_pixel_does_not_roll_over():
    image = CAMERA.expose(*spot(20e-6, 20e-6, charge=1000 * CHARGE), np.random.default_rng(1))
    assert image.max() == SATURATION


def test_camera_zooms_so_that_the_beam_is_measured():
    camera = Camera.seeing(300e-6)
    sizes = camera.measure(camera.expose(*spot(300e-6, 100e-6), np.random.default_rng(1)))
    assert sizes[0].rms == pytest.approx(300e-6, rel=0.02)
    assert sizes[1].rms == pytest.approx(100e-6, rel=0.02)
