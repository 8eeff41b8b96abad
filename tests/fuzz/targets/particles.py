"""Files of particles, as `ParticleGroupFile` reads them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fuzz.hdf5_files import as_file
from fuzz.values import particles
from lume_services.files.serializers.particles import ParticleGroupSerializer
from lume_services.services.files.filesystems import LocalFilesystem


def _seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "beam.h5"
        found = []
        for count in (1, 3, 100):
            ParticleGroupSerializer().serialize(str(path), particles(count))
            found.append(path.read_bytes())
    return found


TARGET = as_file(
    "particles",
    _seeds,
    lambda path: LocalFilesystem(identifier="local").read(path, ParticleGroupSerializer),
)
