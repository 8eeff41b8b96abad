"""Files of the other packaged types: arrays, tables, images, JSON, YAML, text."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from fuzz.hdf5_files import written
from fuzz.mutate import Mutator
from fuzz.target import MIB, Target
from lume_services.files import CSVFile, ImageFile, JSONFile, NumpyFile, TextFile, YAMLFile
from lume_services.services.files.filesystems import LocalFilesystem

_TYPES = {
    ".npy": NumpyFile,
    ".csv": CSVFile,
    ".png": ImageFile,
    ".json": JSONFile,
    ".yaml": YAMLFile,
    ".txt": TextFile,
}


def _npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def _image(image_format: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (40, 30), (1, 2, 3)).save(content, image_format)
    return content.getvalue()


def _seeds() -> list[tuple[str, bytes]]:
    tree = b'{"a": [1, 2.5, null, "text"], "b": {"c": {}}}'
    yaml = b"a: [1, 2.5, null]\nb: &x {c: d}\ne: *x\nf: |\n  text\n"
    arrays = (
        np.arange(6.0),
        np.zeros((2, 3), "i2"),
        np.array(["a"]),
        np.zeros(2, [("a", "f8"), ("b", "S3")]),
    )
    found = [(".npy", _npy(array)) for array in arrays]
    found += [
        (".png", _image(image_format)) for image_format in ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP")
    ]
    return [*found, (".csv", b"a,b\n1,x\n2.5,\n"), (".json", tree), (".yaml", yaml), (".txt", "é\n".encode())]


def _mutate(mutator: Mutator, seed: tuple[str, bytes]) -> tuple[str, bytes]:
    suffix, content = seed
    if suffix in (".csv", ".json", ".yaml") and mutator.random.random() < 0.7:
        return suffix, mutator.text(content.decode()).encode("utf-8", "surrogatepass")
    return suffix, mutator.bytes(content)


def _read(given: tuple[str, bytes]) -> None:
    suffix, content = given
    with written(content, suffix) as path:
        LocalFilesystem(identifier="local").read(path, _TYPES[suffix].serializer)


TARGET = Target(
    "files",
    _seeds,
    _mutate,
    _read,
    lambda given: given[0].encode() + b"\n" + given[1],
    lambda data: (data.partition(b"\n")[0].decode(), data.partition(b"\n")[2]),
    most_bytes=lambda size: (
        400 * MIB + 64 * size
    ),  # an image of 89 million pixels, which is where Pillow warns
)
