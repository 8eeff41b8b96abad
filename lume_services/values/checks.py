"""What every walk through a value, to store or to fingerprint it, requires of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from lume_services.errors import LUMEServicesError
from lume_services.values.advice import advice_for
from lume_services.values.registry import Kind, kind_of
from lume_services.values.trail import Trail


def kind_or_fail(value: Any, trail: Trail) -> Kind:
    """Return the kind of a value that is not plain.

    Raises:
        EncodeError: There is none.
    """
    kind = kind_of(type(value))
    if kind is None:
        raise trail.fail(*advice_for(value))
    return kind


@contextmanager
def taking_apart(kind: Kind, trail: Trail) -> Iterator[None]:
    """Turn any error while a value is taken apart into one that names the place."""
    try:
        yield
    except LUMEServicesError:
        raise
    except Exception as error:
        raise trail.fail(f"cannot store this {kind.name}: {error}") from error


def put_together(kind: Kind, parts: Any, trail: Trail) -> Any:
    """Return the value of a kind made of its parts.

    Raises:
        LUMEServicesError: They are not the parts of such a value; the error names the place.
    """
    try:
        value = kind.load(parts)
    except LUMEServicesError:
        raise
    except Exception as error:
        raise trail.fail(f"this is not a stored {kind.name}: {error}") from error
    if not isinstance(value, kind.cls) and kind_of(type(value)) is not kind:
        raise trail.fail(f"this is not a stored {kind.name}, but a {type(value).__name__}.")
    return value


def utf8(text: str, trail: Trail) -> bytes:
    """Return text as UTF-8.

    Raises:
        EncodeError: It holds a lone surrogate, and so is not Unicode.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise trail.fail(
            f"cannot store this text: character {error.start} is a lone surrogate, which is not Unicode.",
            "Store the original bytes, or drop it: text.encode('utf-8', 'replace').decode('utf-8').",
        ) from error


def utc(moment: datetime, trail: Trail) -> datetime:
    """Return a moment in UTC.

    Raises:
        EncodeError: It has no time zone, and so could mean many moments.
    """
    if moment.utcoffset() is None:
        raise trail.fail(
            "cannot store a datetime without a time zone;", "add one: value.replace(tzinfo=timezone.utc)."
        )
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise trail.fail("cannot store a datetime that in UTC is not in the years 1 to 9999.") from error
