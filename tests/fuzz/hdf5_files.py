"""Mutated HDF5 files: their bytes are changed, or what h5py shows of them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from fuzz.mutate import INTERESTING, Mutator
from fuzz.target import MIB, Target
from lume_services.values.hdf5_guard import room_for

_DTYPES = ("u1", "i8", "f8", "S5", "V3", "c16", "?", [("a", "f8"), ("b", "S3")], "f2", ">i4")
_KINDS = (
    *(
        "list",
        "value",
        "numbers",
        "bytes",
        "utf-8",
        "array",
        "numpy",
        "datetime",
        "None",
        "tuple",
        "dict",
        "set",
    ),
    *("int", "complex", "ndarray", "pandas.DataFrame", "pandas.Series", "pandas.Index", "pandas.Categorical"),
    *(
        "pandas.PeriodArray",
        "pandas.StringArray",
        "pandas.IntegerArray",
        "beamphysics.ParticleGroup",
        "os.system",
    ),
)
_AXES: tuple[tuple[int, ...], ...] = (
    (),
    (0,),
    (1,),
    (3,),
    (2, 3),
    (0, 7),
    (1 << 20,),
    (1 << 40,),
    (1 << 40, 0),
)


def mutate(mutator: Mutator, seed: bytes) -> bytes:
    """Change an HDF5 file in either way."""
    if mutator.random.random() < 0.5:
        return mutator.bytes(seed)
    content = io.BytesIO(seed)
    with h5py.File(content, "r+") as file:
        for _ in range(mutator.random.choice((1, 1, 2, 4))):
            try:
                mutator.random.choice(_EDITS)(mutator.random, file)
            except (ValueError, TypeError, LookupError, OSError, RuntimeError, MemoryError):
                continue  # it cannot be done to this file
    changed = content.getvalue()
    return mutator.bytes(changed) if mutator.random.random() < 0.1 else changed


def names(file: h5py.Group) -> list[str]:
    """Return the paths of all that is in a file."""
    found: list[str] = []
    file.visit(found.append)
    return found


def _some(random: Random, file: h5py.File) -> str:
    return random.choice(names(file))


def _remove(random: Random, file: h5py.File) -> None:
    del file[_some(random, file)]


def _rename(random: Random, file: h5py.File) -> None:
    file.move(_some(random, file), _some(random, file) + random.choice(("x", "/y", "%", "é")))


def _link(random: Random, file: h5py.File) -> None:
    place = _some(random, file) + random.choice("abc")
    target: Any = random.choice((h5py.SoftLink("/a"), h5py.ExternalLink("/etc/hostname", "/"), None))
    file[place] = file[_some(random, file)] if target is None else target


def _swap(random: Random, file: h5py.File) -> None:
    first, second = _some(random, file), _some(random, file)
    file.move(first, "swapped")
    file.move(second, first)
    file.move("swapped", second)


def _copy(random: Random, file: h5py.File) -> None:
    file.copy(_some(random, file), _some(random, file) + "copy")


def _dataset(random: Random, file: h5py.File) -> None:
    place = _some(random, file)
    attributes = dict(file[place].attrs)
    del file[place]
    shape, dtype = random.choice(_AXES), np.dtype(random.choice(_DTYPES))
    options: dict[str, Any] = {}
    if shape and shape[0] and random.random() < 0.4:
        options = {
            "chunks": True,
            "compression": random.choice(("gzip", "lzf")),
            "fletcher32": random.random() < 0.3,
        }
    found = file.create_dataset(place, shape, dtype, **options)
    for name, value in attributes.items():
        found.attrs[name] = value


def _value(random: Random, file: h5py.File) -> None:
    place = _some(random, file)
    attributes = dict(file[place].attrs)
    del file[place]
    value = random.choice(INTERESTING)
    file[place] = h5py.Empty("f8") if value is None else value
    for name, item in attributes.items():
        file[place].attrs[name] = item


def _elements(random: Random, file: h5py.File) -> None:
    found = file[_some(random, file)]
    if isinstance(found, h5py.Dataset) and found.shape is not None and 0 < found.nbytes < MIB:
        data = np.array(found[()])
        raw = bytearray(data.tobytes())
        for _ in range(3):
            raw[random.randrange(len(raw))] = random.randrange(256)
        found[()] = np.frombuffer(bytes(raw), data.dtype).reshape(data.shape)


def _attribute(random: Random, file: h5py.File) -> None:
    node = file[random.choice(["/", _some(random, file)])]
    name = random.choice([*node.attrs, "lume_kind", "lume_dtype", "lume_single", "shape", "value"])
    node.attrs[name] = random.choice(
        (random.choice(_KINDS), random.choice(INTERESTING), "<M8[ns]", "<m8[7as]")
    )


_EDITS: tuple[Callable[[Random, h5py.File], None], ...] = (
    _remove, _rename, _link, _swap, _copy, _dataset, _dataset, _value,
    _elements, _elements, _attribute, _attribute,
)  # fmt: skip


def as_file(
    name: str, seeds: Callable[[], list[bytes]], read: Callable[[Path], object], **options: Any
) -> Target:
    """Return the target that reads HDF5 from a file."""

    def from_file(content: bytes) -> object:
        with written(content) as path:
            return read(path)

    return Target(name, seeds, options.pop("mutate", mutate), from_file, bytes, bytes, most_bytes, **options)


def most_bytes(size: int) -> int:
    """Return how much memory reading a file may take: twice the room for its values."""
    return 2 * room_for(size, 100) + 64 * MIB


def content_of(write: Callable[[h5py.File], object]) -> bytes:
    """Return the bytes of an HDF5 file."""
    content = io.BytesIO()
    with h5py.File(content, "w", track_order=True) as file:
        write(file)
    return content.getvalue()


@contextmanager
def written(content: bytes, suffix: str = ".h5") -> Iterator[Path]:
    """Write a file that is there for the block."""
    with tempfile.NamedTemporaryFile(
        suffix=suffix, dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as file:
        file.write(content)
        file.flush()
        yield Path(file.name)
