"""Particles in openPMD files."""

from __future__ import annotations

from typing import Any

from lume_services.values.hdf5 import check_tree


class ParticleGroupSerializer:
    """An openPMD `ParticleGroup` in the HDF5 format of the openPMD beam-physics extension."""

    def serialize(self, filename: str, obj: Any) -> None:
        """Write a ParticleGroup to a file.

        Raises:
            TypeError: The object is not a ParticleGroup.
        """
        from beamphysics import ParticleGroup

        if not isinstance(obj, ParticleGroup):
            raise TypeError(f"expected a beamphysics ParticleGroup, got {type(obj).__name__}")
        obj.write(filename)

    @classmethod
    def deserialize(cls, filename: str) -> Any:
        """Read a ParticleGroup from a file.

        Raises:
            DecodeError: The file links to other files, or could do harm otherwise; see `values.hdf5_guard`.
        """
        import h5py
        from beamphysics import ParticleGroup

        with h5py.File(filename, "r") as file:
            check_tree(file)
            return ParticleGroup(file)
