"""Particles in openPMD files."""

from __future__ import annotations

from typing import Any

import h5py

from lume_services.errors import DecodeError, EncodeError
from lume_services.values.hdf5 import check_tree
from lume_services.values.hdf5_sink import new_file


class ParticleGroupSerializer:
    """An openPMD `ParticleGroup` in the HDF5 format of the openPMD beam-physics extension."""

    def serialize(self, filename: str, obj: Any) -> None:
        """Write a ParticleGroup to a file.

        Raises:
            TypeError: The object is not a ParticleGroup.
            EncodeError: The format would not keep all of it; the error names what.
            OSError: The disk is full.
        """
        from beamphysics import ParticleGroup

        if type(obj) is not ParticleGroup:
            raise TypeError(f"expected a beamphysics ParticleGroup, got {type(obj).__name__}")
        with new_file(filename) as file:
            obj.write(file)
        _refuse_changes(obj.data, self.deserialize(filename).data)

    @classmethod
    def deserialize(cls, filename: str) -> Any:
        """Read a ParticleGroup from a file.

        Raises:
            DecodeError: The file links to other files, or could do harm otherwise; see `values.hdf5_guard`.
        """
        from beamphysics import ParticleGroup

        with h5py.File(filename, "r") as file:
            check_tree(file)
            _check_places(file)
            return ParticleGroup(file)


def _check_places(file: h5py.File) -> None:
    """Refuse datasets where beamphysics looks for groups: it would go through their rows one by one."""
    path = "".join(str(_text(file.attrs.get(name, b""))) for name in ("basePath", "particlesPath"))
    depth = sum(map(bool, path.split("/")))  # of the group of particles

    def visit(name: str, node: h5py.HLObject) -> None:
        parents = name.split("/")
        is_record = len(parents) > depth + 1 or (len(parents) == depth + 1 and "position" in node.parent)
        if isinstance(node, h5py.Dataset) and not is_record:
            raise DecodeError("this dataset lies where the groups of particles are.", where=name)

    file.visititems(visit)


def _text(attribute: Any) -> Any:
    return attribute.decode() if isinstance(attribute, bytes) else attribute


def _refuse_changes(before: dict[str, Any], after: dict[str, Any]) -> None:
    import numpy as np

    for name in before.keys() | after.keys():
        old, new = (np.asarray(data[name]) if name in data else None for data in (before, after))
        if old is None or new is None or old.dtype != new.dtype or old.tobytes() != new.tobytes():
            raise EncodeError(
                f"the openPMD format would change it: {old!r:.100} would be read as {new!r:.100}.",
                where=f"value.data[{name!r}]",
                remedy="Store it in an HDF5File.",
            )
