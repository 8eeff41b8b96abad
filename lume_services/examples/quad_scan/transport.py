"""The beamline: one thick quadrupole and a drift to the screen.

A transfer matrix is an array of shape (2, 2, ...): the last axes are those of the focusing strength, so that
one call gives the matrices of all particles, each with its own momentum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from beamphysics import ParticleGroup
    from numpy.typing import ArrayLike, NDArray

SPEED_OF_LIGHT = 299_792_458.0
PLANES = {"x": 1.0, "y": -1.0}
"""The sign of the focusing strength: a quadrupole that focuses in x defocuses in y."""


def rigidity(momentum: NDArray[np.float64] | float) -> NDArray[np.float64] | float:
    """Return the magnetic rigidity in T m of particles of unit charge; `momentum` is in eV/c."""
    return momentum / SPEED_OF_LIGHT


def quadrupole(strength: ArrayLike, length: float) -> NDArray[np.float64]:
    """Return the transfer matrix of a thick quadrupole in one plane.

    Args:
        strength: Focusing strength in 1/m², gradient over rigidity; positive focuses, negative defocuses.
        length: Effective length in m.

    Returns:
        Array of shape (2, 2, *strength.shape).
    """
    strength = np.asarray(strength, dtype=np.float64)
    matrix = np.empty((2, 2, *strength.shape))
    cosine, sine = matrix[0, 0, ...], matrix[0, 1, ...]
    focuses = strength > 0
    phase = np.sqrt(np.abs(strength)) * length
    np.cos(phase, out=cosine, where=focuses)
    np.sin(phase, out=sine, where=focuses)
    np.cosh(phase, out=cosine, where=~focuses)
    np.sinh(phase, out=sine, where=~focuses)
    # sin(phase) / phase goes to 1: without strength the quadrupole is a drift.
    np.divide(sine, phase, out=sine, where=phase > 0)
    sine[phase == 0] = 1
    sine *= length
    np.multiply(-strength, sine, out=matrix[1, 0, ...])
    matrix[1, 1] = cosine
    return matrix


@dataclass(frozen=True)
class Beamline:
    """A quadrupole and the drift behind it, which ends at the screen.

    Attributes:
        quad_length: Effective length of the quadrupole in m.
        drift_length: Length from the end of the quadrupole to the screen in m.
    """

    quad_length: float
    drift_length: float

    @property
    def focal_strength(self) -> float:
        """The strength in 1/m² which focuses a parallel beam onto the screen, as a thin lens would."""
        return 1 / (self.quad_length * self.drift_length)

    def matrix(self, strength: ArrayLike) -> NDArray[np.float64]:
        """Return the transfer matrix from the quadrupole's entrance to the screen.

        Args:
            strength: Focusing strength in 1/m², as `quadrupole` takes it.

        Returns:
            Array of shape (2, 2, *strength.shape).
        """
        matrix = quadrupole(strength, self.quad_length)
        matrix[0] += self.drift_length * matrix[1]
        return matrix

    def reach(self, momentum: float) -> float:
        """Return the gradient in T/m up to which a scan sweeps the waist of most beams over the screen.

        It is that of twice the focal strength: a beam that arrives parallel has its waist on the screen
        half-way there. One that arrives diverging has it later, and one that converges earlier.

        Args:
            momentum: Mean momentum in eV/c.
        """
        return 2 * self.focal_strength * float(rigidity(momentum))


def track(
    beam: ParticleGroup, line: Beamline, gradients: Iterable[float]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Track every particle, with its own momentum, from the quadrupole's entrance to the screen.

    Args:
        beam: The particles at the entrance.
        line: Where they go.
        gradients: Quadrupole gradients in T/m; positive focuses in x.

    Yields:
        Positions x and y on the screen in m for each gradient, in the order of the particles.
    """
    slope_x, slope_y = beam.px / beam.pz, beam.py / beam.pz
    per_gradient = 1 / rigidity(beam.p)
    for gradient in gradients:
        strength = gradient * per_gradient
        yield (
            _at_screen(line.matrix(PLANES["x"] * strength), beam.x, slope_x),
            _at_screen(line.matrix(PLANES["y"] * strength), beam.y, slope_y),
        )


def _at_screen(
    matrix: NDArray[np.float64], position: NDArray[np.float64], slope: NDArray[np.float64]
) -> NDArray[np.float64]:
    at_screen: NDArray[np.float64] = matrix[0, 0] * position
    at_screen += matrix[0, 1] * slope
    return at_screen
