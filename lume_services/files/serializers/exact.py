"""What a file must give back: what was written into it, of the same types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lume_services.errors import EncodeError
from lume_services.values.trail import Trail

_REMEDY = "Convert it to a dict, a list, text or a number first, or store it in an HDF5File."
_SCALARS = (str, int, float, bool, type(None))


def refuse_other_types(obj: Any, form: str, *, keys: tuple[type, ...]) -> None:
    """Refuse what is not made of dicts, lists, text, numbers, True, False and None.

    Args:
        obj: What is to be written.
        form: The form of the file: `JSON`.
        keys: The types that a key may have.

    Raises:
        EncodeError: A part is of another type; the message names the place.
    """
    _check(obj, form, keys, Trail("value", EncodeError))


def _check(obj: Any, form: str, keys: tuple[type, ...], trail: Trail) -> None:
    if type(obj) in _SCALARS:
        return
    if type(obj) not in (dict, list):
        raise trail.fail(f"{form} cannot represent a value of type {type(obj).__name__}.", _REMEDY)
    trail.enter(obj)
    pairs: Iterable[tuple[Any, Any]] = obj.items() if type(obj) is dict else enumerate(obj)
    for key, item in pairs:
        if type(obj) is dict and type(key) not in keys:
            needed = "text" if keys == (str,) else "text, a number, True, False or None"
            raise trail.fail(f"key {key!r} is not {needed}, which {form} needs.", _REMEDY)
        trail.steps.append(key)
        _check(item, form, keys, trail)
        trail.steps.pop()
    trail.leave(obj)


def refuse_changes(obj: Any, back: Any) -> None:
    """Compare what was written with what its file gives back, before the file is kept.

    Args:
        obj: What was written, after `refuse_other_types`.
        back: What was read again.

    Raises:
        EncodeError: They differ; the message names the first place.
    """
    _compare(obj, back, Trail("value", EncodeError))


def _compare(before: Any, after: Any, trail: Trail) -> None:
    if type(before) is not type(after) or (type(before) in _SCALARS and repr(before) != repr(after)):
        raise trail.fail(f"{before!r:.100} would be read as {after!r:.100}.", _REMEDY)
    if type(before) is dict:
        if [(type(key), key) for key in before] != [(type(key), key) for key in after]:
            raise trail.fail(f"its keys would be read as {list(after)!r:.200}.", _REMEDY)
        pairs: list[tuple[Any, Any, Any]] = [(key, before[key], after[key]) for key in before]
    elif type(before) is list:
        if len(before) != len(after):
            raise trail.fail(f"its {len(before)} items would be read as {len(after)}.", _REMEDY)
        pairs = [(n, *both) for n, both in enumerate(zip(before, after, strict=True))]
    else:
        return
    for step, old, new in pairs:
        trail.steps.append(step)
        _compare(old, new, trail)
        trail.steps.pop()
