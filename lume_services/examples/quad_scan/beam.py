"""The beam: an injector bunch made from its parameters, or anyone's particles; and its Twiss parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from beamphysics import ParticleGroup
    from numpy.typing import NDArray

ELECTRON_MASS = 510_998.950_69
"""Rest energy of the electron in eV."""


class Twiss(NamedTuple):
    """The RMS ellipse of a beam in one plane.

    Attributes:
        emittance: Normalised emittance in m rad.
        beta: Beta function in m.
        alpha: Alpha function.
    """

    emittance: float
    beta: float
    alpha: float


def generate_beam(
    *,
    energy: float,
    charge: float,
    n_particle: int,
    twiss_x: Twiss,
    twiss_y: Twiss,
    bunch_length: float,
    energy_spread: float,
    chirp: float,
    seed: int,
) -> ParticleGroup:
    """Make a Gaussian electron bunch at one place along the linac.

    Args:
        energy: Mean total energy in eV.
        charge: Charge of the bunch in C.
        n_particle: Number of macroparticles, all of the same weight.
        twiss_x: Emittance, beta and alpha of the horizontal plane.
        twiss_y: The same of the vertical plane.
        bunch_length: RMS duration in s.
        energy_spread: RMS energy spread relative to `energy`.
        chirp: Correlation of energy with time, from -1 to 1.
        seed: The same seed gives the same particles.

    Raises:
        ValueError: If the energy does not exceed the electron's rest energy.
    """
    from beamphysics import ParticleGroup

    if energy <= ELECTRON_MASS:
        raise ValueError(f"energy={energy} eV must exceed the rest energy of an electron, {ELECTRON_MASS} eV")
    normal = np.random.default_rng(seed).standard_normal((6, n_particle))
    momentum = np.sqrt(energy**2 - ELECTRON_MASS**2)
    x, slope_x = _phase_space(normal[0:2], twiss_x, momentum / ELECTRON_MASS)
    y, slope_y = _phase_space(normal[2:4], twiss_y, momentum / ELECTRON_MASS)
    deviation = energy_spread * (chirp * normal[4] + np.sqrt(1 - chirp**2) * normal[5])
    pz = np.sqrt(((energy * (1 + deviation)) ** 2 - ELECTRON_MASS**2) / (1 + slope_x**2 + slope_y**2))
    return ParticleGroup(
        data={
            "x": x,
            "px": slope_x * pz,
            "y": y,
            "py": slope_y * pz,
            "z": np.zeros(n_particle),
            "pz": pz,
            "t": bunch_length * normal[4],
            "status": np.ones(n_particle, dtype=int),
            "weight": np.full(n_particle, charge / n_particle),
            "species": "electron",
        }
    )


def at_one_place(beam: ParticleGroup) -> ParticleGroup:
    """Return the particles that are not lost, all at one place along the linac.

    Codes that step in time write all particles at the same time; those are drifted to their mean z.
    """
    beam = beam.where(beam.status == 1)
    if not beam.in_z_coordinates:
        beam.drift_to_z()
    return beam


def true_twiss(beam: ParticleGroup, plane: str) -> Twiss:
    """Return the Twiss parameters of the particles, each counted by its weight.

    Args:
        beam: The particles.
        plane: `x` or `y`.
    """
    slope = beam[f"p{plane}"] / beam.pz
    (s11, s12), (_, s22) = np.cov(beam[plane], slope, aweights=beam.weight)
    emittance = np.sqrt(s11 * s22 - s12**2)
    return Twiss(float(beam[f"norm_emit_{plane}"]), float(s11 / emittance), float(-s12 / emittance))


def _phase_space(
    normal: NDArray[np.float64], twiss: Twiss, beta_gamma: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shape two rows of normal numbers into positions in m and slopes in rad."""
    emittance = twiss.emittance / beta_gamma
    position = np.sqrt(emittance * twiss.beta) * normal[0]
    slope = np.sqrt(emittance / twiss.beta) * (normal[1] - twiss.alpha * normal[0])
    return position, slope
