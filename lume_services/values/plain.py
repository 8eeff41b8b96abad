"""The kinds of the standard library that plain data lacks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lume_services.values.blobs import BlobReader
from lume_services.values.parts import exactly, members
from lume_services.values.registry import Kind, add_kind

if TYPE_CHECKING:
    from lume_services.values.hashing import Hasher


@dataclass(frozen=True)
class RawBytes:
    """Contiguous bytes that may go beside the document, as a blob."""

    view: memoryview


def _dump_datetime(moment: datetime) -> dict[str, Any]:
    rest = moment.microsecond % 1000
    return {"value": moment - timedelta(microseconds=rest), "microseconds": rest}


def _load_int(text: Any) -> int:
    value = int(exactly(text, str), 16)
    if hex(value) != text:
        raise ValueError("this is not how an int is written")
    return value


def _load_datetime(parts: Any) -> datetime:
    moment, microseconds = members(parts, "value", "microseconds")
    if exactly(microseconds, int) not in _BELOW_A_MILLISECOND:
        raise ValueError(f"{microseconds} microseconds are not the rest of a moment in milliseconds")
    return exactly(moment, datetime) + timedelta(microseconds=microseconds)


def _dump_timedelta(span: timedelta) -> dict[str, int]:
    return {"days": span.days, "seconds": span.seconds, "microseconds": span.microseconds}


def _load_timedelta(parts: Any) -> timedelta:
    days, seconds, microseconds = members(parts, "days", "seconds", "microseconds")
    return timedelta(exactly(days, int), exactly(seconds, int), exactly(microseconds, int))


def _load_bytes(parts: Any) -> bytes:
    [data] = members(parts, "data")
    return bytes(data.read() if isinstance(data, BlobReader) else exactly(data, bytes, memoryview))


def _load_dict(parts: Any) -> dict[Any, Any]:
    pairs = exactly(parts, list)
    if any(type(pair) is not list or len(pair) != _A_PAIR for pair in pairs):
        raise ValueError("it is not a list of pairs")
    return dict(pairs)


def _load_complex(parts: Any) -> complex:
    real, imag = members(parts, "real", "imag")
    return complex(exactly(real, float), exactly(imag, float))


def _hash_set(elements: set[Any] | frozenset[Any], hasher: Hasher) -> None:
    hasher.unordered(elements)


_BELOW_A_MILLISECOND = range(1000)
_A_PAIR = 2

for _kind in (
    # A plain value is stored as it is; these serve the ones that do not fit.
    Kind("int", int, hex, _load_int),
    Kind("datetime", datetime, _dump_datetime, _load_datetime),
    Kind("bytes", bytes, lambda value: {"data": RawBytes(memoryview(value))}, _load_bytes),
    Kind("dict", dict, lambda value: [list(pair) for pair in value.items()], _load_dict),
    Kind("tuple", tuple, list, lambda parts: tuple(exactly(parts, list))),
    Kind("set", set, list, lambda parts: set(exactly(parts, list)), hash_into=_hash_set),
    Kind("frozenset", frozenset, list, lambda parts: frozenset(exactly(parts, list)), hash_into=_hash_set),
    Kind("complex", complex, lambda z: {"real": z.real, "imag": z.imag}, _load_complex),
    Kind("timedelta", timedelta, _dump_timedelta, _load_timedelta),
    Kind("date", date, date.isoformat, lambda text: date.fromisoformat(exactly(text, str))),
    Kind("UUID", UUID, str, lambda text: UUID(exactly(text, str))),
    Kind("Path", type(Path()), str, lambda text: Path(exactly(text, str))),
):
    add_kind(_kind)
