"""The canonical fingerprint of a value.

Equal values of equal type have equal fingerprints: in any process, on any platform, whatever the order
of a dict or the memory layout and byte order of an array. `docs/reference/fingerprint.md` defines it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import lume_services.values.plain  # noqa: F401 - registers the kinds of the standard library
from lume_services.errors import EncodeError
from lume_services.values.checks import kind_or_fail, taking_apart, utc, utf8
from lume_services.values.trail import Trail

if TYPE_CHECKING:
    from typing_extensions import Buffer

_VERSION = b"lume-services fingerprint 1\n"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NAN = bytes.fromhex("000000000000f87f")


def fingerprint(obj: Any, *, where: str = "value") -> str:
    """Return the SHA-256 fingerprint of a value, in hex.

    Dicts in another order, sets, and arrays in another memory layout or byte order have the same
    fingerprint. `1`, `1.0`, `True` and `np.float64(1)` have different ones, and so have `0.0` and
    `-0.0`. All NaNs are one. An array is hashed where it lies, without a copy.

    Args:
        obj: Anything that can be stored.
        where: The name of the value in errors.

    Raises:
        EncodeError: A part of the value cannot be fingerprinted. The error names it, and what to do.
    """
    hasher = Hasher(Trail(where, EncodeError))
    hasher.value(obj)
    return hasher.digest().hex()


class Hasher:
    """Hashes a value as a stream of tags, lengths and contents, which only this value gives.

    Args:
        trail: Where the walk is.
    """

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._hash = hashlib.sha256(_VERSION)

    def digest(self) -> bytes:
        """Return the digest of what was hashed."""
        return self._hash.digest()

    def value(self, value: Any) -> None:
        """Hash any value."""
        _HASH.get(type(value), Hasher.kind)(self, value)

    def raw(self, data: Buffer) -> None:
        """Hash contiguous bytes, whose number follows from what was hashed before."""
        self._hash.update(data)

    def unordered(self, elements: Collection[Any]) -> None:
        """Hash elements, whatever their order."""
        self._sized(b"U", len(elements), b"".join(sorted(map(self._digest_of, elements))))

    def none(self, _: None) -> None:
        """Hash None."""
        self._hash.update(b"N")

    def boolean(self, value: bool) -> None:
        """Hash a bool."""
        self._hash.update(b"T" if value else b"F")

    def integer(self, value: int) -> None:
        """Hash an int of any size."""
        nbytes = value.bit_length() // 8 + 1
        self._sized(b"I", nbytes, value.to_bytes(nbytes, "little", signed=True))

    def number(self, value: float) -> None:
        """Hash a float."""
        self._hash.update(b"R" + (struct.pack("<d", value) if value == value else _NAN))  # noqa: PLR0124

    def text(self, value: str) -> None:
        """Hash a string as it is, without normalisation."""
        encoded = utf8(value, self._trail)
        self._sized(b"S", len(encoded), encoded)

    def binary(self, value: bytes) -> None:
        """Hash bytes."""
        self._sized(b"B", len(value), value)

    def moment(self, value: datetime) -> None:
        """Hash a moment, in whatever time zone it is given."""
        since = utc(value, self._trail) - _EPOCH
        self._hash.update(b"M" + struct.pack("<q", since // _MICROSECOND))

    def sequence(self, value: list[Any]) -> None:
        """Hash a list."""
        self._trail.enter(value)
        self._sized(b"L", len(value))
        for index, item in enumerate(value):
            self._trail.steps.append(index)
            self.value(item)
            self._trail.steps.pop()
        self._trail.leave(value)

    def mapping(self, value: dict[Any, Any]) -> None:
        """Hash a dict, whatever its order."""
        self._trail.enter(value)
        keys = {self._digest_of(key): key for key in value}
        if len(keys) != len(value):
            raise self._trail.fail("cannot store a dict with two keys that are both NaN.", "Use other keys.")
        self._sized(b"D", len(value))
        for digest in sorted(keys):
            key = keys[digest]
            self._hash.update(digest)
            self._trail.steps.append(key)
            self.value(value[key])
            self._trail.steps.pop()
        self._trail.leave(value)

    def kind(self, value: Any) -> None:
        """Hash a value that is not plain, by the name of its kind and its parts."""
        kind = kind_or_fail(value, self._trail)
        self._trail.enter(value)
        self._hash.update(b"K")
        self.text(kind.name)
        with taking_apart(kind, self._trail):
            if kind.hash_into is not None:
                kind.hash_into(value, self)
            else:
                self.value(kind.dump(value))
        self._trail.leave(value)

    def _sized(self, tag: bytes, size: int, content: bytes = b"") -> None:
        self._hash.update(tag + struct.pack("<Q", size))
        self._hash.update(content)

    def _digest_of(self, value: Any) -> bytes:
        hasher = Hasher(self._trail)
        hasher.value(value)
        return hasher.digest()


_HASH: dict[type, Callable[[Hasher, Any], None]] = {
    type(None): Hasher.none,
    bool: Hasher.boolean,
    int: Hasher.integer,
    float: Hasher.number,
    str: Hasher.text,
    bytes: Hasher.binary,
    datetime: Hasher.moment,
    list: Hasher.sequence,
    dict: Hasher.mapping,
}
