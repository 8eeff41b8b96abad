"""openPMD ParticleGroups and lume-base objects: to documents and blobs, and back."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest
from beamphysics import ParticleGroup
from lume.base import Base
from memory_blobs import MemoryBlobs

from lume_services.errors import DecodeError
from lume_services.values import decode, dumps, encode, fingerprint, loads, register_model


def round_trip(value, blobs=None):
    blobs = blobs or MemoryBlobs()
    back = decode(loads(dumps(encode(value, sink=blobs))), source=blobs)
    assert type(back) is type(value)
    assert fingerprint(back) == fingerprint(value)
    return back


def beam(count, **more):
    rng = np.random.default_rng(count)
    names = ("x", "px", "y", "py", "z", "pz", "t", "weight")
    data = {name: rng.random(count) for name in names}
    return ParticleGroup(data={**data, "status": np.ones(count, int), "species": "electron", **more})


@pytest.mark.parametrize("count", [1, 2, 20_000])
def test_a_beam_comes_back_bit_by_bit(count):
    group = beam(count)
    blobs = MemoryBlobs()
    back = round_trip(group, blobs)
    assert back == group
    assert back.data.keys() == group.data.keys()
    for name, array in group.data.items():
        np.testing.assert_array_equal(back.data[name], array)
    assert back.species == "electron"
    assert len(blobs.kept) == (9 if count == 20_000 else 0)


def test_a_beam_keeps_its_particle_ids_and_can_be_changed():
    group = beam(3, id=np.array([7, 9, 8]))
    back = round_trip(group)
    np.testing.assert_array_equal(back.id, [7, 9, 8])
    back.x += 1
    np.testing.assert_array_equal(back.x, group.x + 1)
    assert fingerprint(back) != fingerprint(group)


def test_an_empty_beam_keeps_its_species():
    group = beam(3)[np.zeros(3, bool)]
    group.species = "positron"
    back = round_trip(group)
    assert len(back) == 0
    assert back.species == "positron"


class Gun(Base):
    """A code that keeps its settings in its archive, as LUME codes do."""

    def __init__(self, field=0.0, **options):
        super().__init__(**options)
        self.field = field
        self.output = None

    def configure(self):
        self.configured = True

    def run(self):
        self.output = {"energy": np.linspace(0, self.field, 5)}
        self.finished = True

    def archive(self, h5=None):
        h5.attrs["field"] = self.field
        h5.attrs["tags"] = ["a", "β"]
        h5["energy"] = self.output["energy"]
        h5["notes/first"] = ["text", "more text"]
        h5["notes/none"] = h5py.Empty("f8")

    def load_archive(self, h5, configure=True):
        self.field = float(h5.attrs["field"])
        self.output = {"energy": h5["energy"][()]}
        if configure:
            self.configure()


def test_a_lume_object_is_stored_as_its_archive():
    gun = Gun(field=2.5)
    gun.run()
    back = round_trip(gun)
    assert back.field == 2.5
    np.testing.assert_array_equal(back.output["energy"], gun.output["energy"])
    assert back.configured
    other = Gun(field=2.5)
    other.run()
    assert fingerprint(other) == fingerprint(gun)
    other.output["energy"][0] = 1
    assert fingerprint(other) != fingerprint(gun)


def test_a_lume_class_can_be_registered_under_a_name_that_stays():
    register_model(Gun, "tests.Gun")
    gun = Gun(field=1)
    gun.run()
    document = encode(gun)
    assert document["$type"] == "tests.Gun"
    assert decode(document).field == 1


def test_a_damaged_archive_is_a_decode_error():
    gun = Gun(field=1)
    gun.run()
    document = encode(gun)
    for damaged in (b"", b"not HDF5", document["hdf5"][:200]):
        with pytest.raises(DecodeError, match="this is not a stored"):
            decode({**document, "hdf5": damaged})


def test_a_damaged_beam_is_a_decode_error():
    document = encode(beam(3))
    del document["x"]
    with pytest.raises(DecodeError, match=r"this is not a stored beamphysics\.ParticleGroup"):
        decode(document)


def test_a_beam_is_read_in_a_process_that_knows_nothing_of_it():
    text = dumps(encode(beam(3)))
    program = (
        "import sys; from lume_services.values import decode, fingerprint, loads\n"
        "print(fingerprint(decode(loads(sys.stdin.read()))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=text, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == fingerprint(beam(3))
