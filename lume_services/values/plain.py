"""The kinds of the standard library that plain data lacks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from lume_services.values.blobs import BlobReader
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


def _load_datetime(parts: dict[str, Any]) -> datetime:
    moment: datetime = parts["value"]
    return moment + timedelta(microseconds=parts["microseconds"])


def _dump_timedelta(span: timedelta) -> dict[str, int]:
    return {"days": span.days, "seconds": span.seconds, "microseconds": span.microseconds}


def _load_bytes(parts: dict[str, Any]) -> bytes:
    data = parts["data"]
    return bytes(data.read() if isinstance(data, BlobReader) else data)


def _hash_set(elements: set[Any] | frozenset[Any], hasher: Hasher) -> None:
    hasher.unordered(elements)


for _kind in (
    # A plain value is stored as it is; these serve the ones that do not fit.
    Kind("int", int, hex, lambda text: int(text, 16)),
    Kind("datetime", datetime, _dump_datetime, _load_datetime),
    Kind("bytes", bytes, lambda value: {"data": RawBytes(memoryview(value))}, _load_bytes),
    Kind("dict", dict, lambda value: [list(pair) for pair in value.items()], dict),
    Kind("tuple", tuple, list, tuple),
    Kind("set", set, list, set, hash_into=_hash_set),
    Kind("frozenset", frozenset, list, frozenset, hash_into=_hash_set),
    Kind("complex", complex, lambda z: {"real": z.real, "imag": z.imag}, lambda parts: complex(**parts)),
    Kind("timedelta", timedelta, _dump_timedelta, lambda parts: timedelta(**parts)),
    Kind("date", date, date.isoformat, date.fromisoformat),
    Kind("UUID", UUID, str, UUID),
    Kind("Path", type(Path()), str, Path),
):
    add_kind(_kind)
