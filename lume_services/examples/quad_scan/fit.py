"""The fit: the beam matrix at the quadrupole's entrance from beam sizes on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lume_services.examples.quad_scan.beam import Twiss
from lume_services.examples.quad_scan.transport import PLANES, rigidity

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lume_services.examples.quad_scan.transport import Beamline

MIN_SIZES = 4
"""Three unknowns, and one more to see whether they fit."""


@dataclass(frozen=True)
class Bunch:
    """What the fit must know of the beam from elsewhere, such as a spectrometer.

    Attributes:
        momentum: Mean momentum in eV/c.
        momentum_spread: RMS momentum spread relative to the mean.
        mass: Rest energy of a particle in eV.
    """

    momentum: float
    momentum_spread: float
    mass: float


@dataclass(frozen=True)
class Fit:
    """What a quadrupole scan tells about one plane.

    Attributes:
        twiss: Emittance, beta and alpha at the quadrupole's entrance.
        error: Their standard uncertainties.
        sigma: Beam matrix s11 (m²), s12 (m rad), s22 (rad²). Shape (3,).
        points: Number of gradients at which the size was measured.
        chi2: Chi-square per degree of freedom.
    """

    twiss: Twiss
    error: Twiss
    sigma: NDArray[np.float64]
    points: int
    chi2: float


def design_matrix(line: Beamline, gradients: ArrayLike, bunch: Bunch, plane: str) -> NDArray[np.float64]:
    """Return the matrix that takes (s11, s12, s22) to the squared beam sizes on the screen.

    Particles of another momentum see another focusing strength. The matrix is therefore the mean over a
    Gaussian momentum spread, taken by the Gauss-Hermite rule of three points.

    Args:
        line: The beamline.
        gradients: Quadrupole gradients in T/m. Shape (n,).
        bunch: Momentum and momentum spread.
        plane: `x` or `y`.

    Returns:
        Array of shape (n, 3).
    """
    deviation = np.sqrt(3) * bunch.momentum_spread * np.array([-1, 0, 1])
    momenta = bunch.momentum * (1 + deviation)
    strength = PLANES[plane] * np.divide.outer(np.asarray(gradients), rigidity(momenta))
    r11, r12 = line.matrix(strength)[0]
    terms = np.stack([r11**2, 2 * r11 * r12, r12**2], axis=1)
    design: NDArray[np.float64] = terms @ np.array([1 / 6, 2 / 3, 1 / 6])
    return design


def fit_plane(sizes: Mapping[str, Any], line: Beamline, bunch: Bunch, plane: str) -> Fit:
    """Fit the beam matrix to the squared sizes by weighted linear least squares.

    If the sizes scatter about the fit by more than their uncertainties, all uncertainties of the result are
    scaled up by the root of `chi2`.

    Args:
        sizes: What `scan` measured; a size that is None or NaN is left out.
        line: The beamline.
        bunch: Momentum, momentum spread and mass.
        plane: `x` or `y`.

    Raises:
        ValueError: If sizes were measured at fewer than four gradients, or if no beam fits them.
    """
    design = design_matrix(line, sizes["gradient"], bunch, plane)
    size = np.array(sizes[f"size_{plane}"], dtype=np.float64)
    error = np.array(sizes[f"size_{plane}_error"], dtype=np.float64)
    measured = np.isfinite(size) & np.isfinite(error)
    points = int(np.unique(np.asarray(sizes["gradient"])[measured]).size)
    if points < MIN_SIZES:
        raise ValueError(
            f"beam sizes in {plane} were measured at {points} of {size.size} gradients and a fit takes "
            f"{MIN_SIZES}: show the whole beam on the screen (larger pixel_size, smaller gradients) without "
            "saturating the camera (less charge), or take more points"
        )
    size, error = size[measured], error[measured]
    # The uncertainty of a square is twice the size times that of the size.
    weight = 1 / (2 * size * error)
    weighted = design[measured] * weight[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted)
    sigma = covariance @ weighted.T @ (size**2 * weight)
    chi2 = float(np.sum((weighted @ sigma - size**2 * weight) ** 2)) / (points - 3)
    twiss, jacobian = _twiss(sigma, bunch)
    variance = np.einsum("ij,jk,ik->i", jacobian, covariance * max(chi2, 1.0), jacobian)
    return Fit(twiss, Twiss(*np.sqrt(variance).tolist()), sigma, points, chi2)


def fitted_sizes(
    fits: Mapping[str, Fit], line: Beamline, bunch: Bunch, gradients: ArrayLike
) -> dict[str, NDArray[np.float64]]:
    """Return smooth curves through the measured sizes, named like those: `gradient`, `size_x`, `size_y`.

    Args:
        fits: The fit of each plane.
        line: The beamline.
        bunch: Momentum, momentum spread and mass.
        gradients: The gradients of the scan in T/m, from end to end of which the curves go.
    """
    curve = np.linspace(np.min(gradients), np.max(gradients), 200)
    sizes = {
        f"size_{plane}": np.sqrt(design_matrix(line, curve, bunch, plane) @ fit.sigma)
        for plane, fit in fits.items()
    }
    return {"gradient": curve, **sizes}


def _twiss(sigma: NDArray[np.float64], bunch: Bunch) -> tuple[Twiss, NDArray[np.float64]]:
    """Return the Twiss parameters of a beam matrix and their derivatives by its elements."""
    s11, s12, s22 = sigma
    area = s11 * s22 - s12**2
    if s11 <= 0 or area <= 0:
        raise ValueError(
            "no beam fits the measured sizes, the emittance would be imaginary: let the gradients sweep the "
            "waist over the screen (gradient_min, gradient_max) or take more points"
        )
    emittance = np.sqrt(area)
    beta, alpha = s11 / emittance, -s12 / emittance
    beta_gamma = bunch.momentum / bunch.mass
    by_emittance = np.array([s22, -2 * s12, s11]) / (2 * emittance)
    jacobian = np.array(
        [
            beta_gamma * by_emittance,
            (np.array([1, 0, 0]) - beta * by_emittance) / emittance,
            (np.array([0, -1, 0]) - alpha * by_emittance) / emittance,
        ]
    )
    return Twiss(float(beta_gamma * emittance), float(beta), float(alpha)), jacobian
