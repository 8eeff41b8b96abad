"""openPMD ParticleGroups: taken apart into their arrays, put together."""

from __future__ import annotations

from typing import Any

import numpy as np
from beamphysics import ParticleGroup

from lume_services.values.parts import array_of, column_of, exactly
from lume_services.values.registry import Kind, add_kind

_NUMBERS = ("x", "px", "y", "py", "z", "pz", "t", "status", "weight")


def _dump_group(group: Any) -> dict[str, Any]:
    return dict(group.data)


def _load_group(parts: Any) -> Any:
    if type(parts) is not dict or not set(_NUMBERS) <= parts.keys() <= {*_NUMBERS, "id", "species"}:
        raise ValueError("its parts are not those of particles")
    species: Any = exactly(parts["species"], str, np.str_)
    length = len(array_of(parts["x"]))
    numbers = {name: parts[name] for name in parts if name != "species"}
    arrays = {name: column_of(part, "iuf", length=length) for name, part in numbers.items()}
    group = ParticleGroup(data={**arrays, "species": species})
    group.species = species  # an empty group takes it from no particle
    return group


add_kind(Kind("beamphysics.ParticleGroup", ParticleGroup, _dump_group, _load_group))
