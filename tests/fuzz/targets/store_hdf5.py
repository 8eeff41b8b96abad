"""Files of the store of type hdf5, with digests that fit where they can be read."""

from __future__ import annotations

import hashlib
import io
import tempfile
from pathlib import Path
from typing import Any

import h5py

from fuzz.hdf5_files import mutate, written
from fuzz.mutate import Mutator
from fuzz.records import results
from fuzz.target import MIB, Target
from lume_services.errors import LUMEServicesError
from lume_services.services.results.hdf5 import record as layout
from lume_services.services.results.hdf5.arrays import ArrayReader
from lume_services.services.results.record import Record
from lume_services.values import decode, dumps, fingerprint


def _seeds() -> list[bytes]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, item in enumerate(results()):
            kept = {key: value for key, value in item.items() if key not in ("_id", "unique_hash")}
            record = Record.of(kept, item["unique_hash"], threshold=64)
            path = Path(folder) / f"{number}.h5"
            layout.write_record(path, record, "p", layout.Storage("gzip" if number % 2 else "none"))
            found.append(path.read_bytes())
    return found


def _mutate(mutator: Mutator, seed: bytes) -> bytes:
    changed = mutate(mutator, seed)
    return _sealed(changed) if mutator.random.random() < 0.7 else changed


def _sealed(content: bytes) -> bytes:
    """Give a file the digest of what it holds now, if it can be read."""
    stream = io.BytesIO(content)
    try:
        with h5py.File(stream, "r+") as file:
            document = layout._Reader(len(content)).document(file)
            seal = hashlib.sha256(
                "\n".join(("p", file.attrs["lume_id"], "")).encode() + dumps(document).encode()
            )
            file.attrs.modify("lume_digest", seal.hexdigest())
    except (
        LUMEServicesError,
        OSError,
        ValueError,
        TypeError,
        LookupError,
        RuntimeError,
        MemoryError,
        AttributeError,
    ):
        return content
    return stream.getvalue()


def _read(content: bytes) -> None:
    class Source:
        def open(self, digest: str) -> Any:
            return ArrayReader(digest, path, "id")

    with written(content) as path:
        _, record = layout.read_record(path)
        fingerprint(decode(record.document, source=Source()))


TARGET = Target(
    "store_hdf5", _seeds, _mutate, _read, bytes, bytes, most_bytes=lambda size: 2 * (256 * MIB + 1100 * size)
)
