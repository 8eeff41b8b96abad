"""openPMD ParticleGroups: taken apart into their arrays, put together."""

from __future__ import annotations

from typing import Any

import numpy as np
from beamphysics import ParticleGroup

from lume_services.values.registry import Kind, add_kind


def _dump_group(group: Any) -> dict[str, Any]:
    return dict(group.data)


def _load_group(parts: dict[str, Any]) -> Any:
    arrays = {name: part if name == "species" else np.asarray(part) for name, part in parts.items()}
    group = ParticleGroup(data=arrays)
    group.species = parts["species"]  # an empty group takes it from no particle
    return group


add_kind(Kind("beamphysics.ParticleGroup", ParticleGroup, _dump_group, _load_group))
