"""Stored documents: the JSON text of a value, with its blobs."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from memory_blobs import MemoryBlobs

from fuzz.mutate import Mutator
from fuzz.target import Target
from fuzz.values import VALUES
from lume_services.errors import BlobCorruptError, EncodeError
from lume_services.results.plain import cell, plain
from lume_services.values import decode, dumps, encode, fingerprint, loads
from lume_services.values.blobs import BlobReader

_blobs = MemoryBlobs()


class _Source:
    def open(self, digest: str) -> BlobReader:
        if digest not in _blobs.kept:
            raise BlobCorruptError(f"there is no blob {digest!r}.")
        return _blobs.open(digest)


def _seeds() -> list[Any]:
    values = list(VALUES().values())
    inline = [encode({"a": value}) for value in values]
    return inline + [encode({"a": value}, sink=_blobs, threshold=1) for value in values]


def _mutate(mutator: Mutator, seed: Any) -> str:
    tree = mutator.tree(seed)
    try:
        text = dumps(tree)
    except EncodeError:
        text = dumps(seed)
    return mutator.text(text) if mutator.random.random() < 0.2 else text


def _read(given: Any) -> None:
    document = loads(given) if isinstance(given, str) else given
    value = decode(document, source=_Source())
    for use in (fingerprint, plain, cell, repr):
        with suppress(EncodeError):  # JSON does not show all that can be stored
            use(value)


def _text(given: Any) -> str:
    return given if isinstance(given, str) else dumps(given)


TARGET = Target(
    "documents",
    _seeds,
    _mutate,
    _read,
    lambda given: _text(given).encode("utf-8", "surrogatepass"),
    lambda data: data.decode("utf-8", "surrogatepass"),
)
