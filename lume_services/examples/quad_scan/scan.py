"""The scan: at each gradient of the quadrupole an image is taken, and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lume_services.examples.quad_scan.screen import Camera
from lume_services.examples.quad_scan.transport import track

if TYPE_CHECKING:
    from beamphysics import ParticleGroup
    from numpy.typing import NDArray

    from lume_services.examples.quad_scan.transport import Beamline

Sizes = dict[str, list[float | None]]
"""`gradient` in T/m; `size_x`, `size_x_error`, `size_y`, `size_y_error` in m, None where not measured."""


def zoomed_camera(beam: ParticleGroup, line: Beamline, gradients: NDArray[np.float64]) -> Camera:
    """Return a camera that just sees the whole beam at both ends of the scan, where it is largest."""
    largest = max(
        float(np.sqrt(np.average(position**2, weights=beam.weight)))
        for positions in track(beam, line, gradients[[0, -1]])
        for position in positions
    )
    return Camera.seeing(largest)


def scan(
    beam: ParticleGroup, line: Beamline, gradients: NDArray[np.float64], camera: Camera, seed: int
) -> tuple[NDArray[np.uint16], Sizes]:
    """Track the beam through all gradients; take and measure the images.

    Args:
        beam: The particles at the quadrupole's entrance.
        line: The beamline.
        gradients: Quadrupole gradients in T/m. Shape (n,).
        camera: What looks at the screen.
        seed: The same seed gives the same noise.

    Returns:
        The images, of shape (n, pixels, pixels), and the sizes.
    """
    rng = np.random.default_rng(seed)
    images = np.empty((len(gradients), camera.pixels, camera.pixels), dtype=np.uint16)
    sizes: Sizes = {"gradient": gradients.tolist()}
    for image, (x, y) in zip(images, track(beam, line, gradients), strict=True):
        image[:] = camera.expose(x, y, beam.weight, rng)
        for plane, size in zip("xy", camera.measure(image), strict=True):
            sizes.setdefault(f"size_{plane}", []).append(size.rms if size else None)
            sizes.setdefault(f"size_{plane}_error", []).append(size.error if size else None)
    return images, sizes
