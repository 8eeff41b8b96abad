"""What pydantic's lax mode takes for a class, and what it never does."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import fractions
import inspect
import pathlib
import sys
import typing
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import is_dataclass, replace
from types import NoneType
from typing import Any

from pydantic import BaseModel, ConfigDict, PydanticUserError, RootModel, TypeAdapter, ValidationError
from typing_extensions import is_typeddict

from lume_services.flows.checks.annotations import Field, class_of, fields

# Harmless values of each type: pydantic's own rules then tell what fits what.
_SAMPLES: Mapping[type, Sequence[Any]] = {
    NoneType: (None,),
    bool: (True,),
    int: (1,),
    float: (1.0,),
    complex: (1j,),
    str: ("", "1"),
    bytes: (b"",),
    bytearray: (bytearray(),),
    dict: ({},),
    list: ([],),
    tuple: ((),),
    set: (set(),),
    frozenset: (frozenset(),),
    collections.deque: (collections.deque(),),
    dt.datetime: (dt.datetime(2000, 1, 1),),  # noqa: DTZ001 - one without a zone fits more
    dt.date: (dt.date(2000, 1, 1),),
    dt.time: (dt.time(),),
    dt.timedelta: (dt.timedelta(),),
    decimal.Decimal: (decimal.Decimal(1),),
    fractions.Fraction: (fractions.Fraction(1),),
    uuid.UUID: (uuid.UUID(int=0),),
    pathlib.PurePath: (pathlib.PurePath(),),
}
# What a class can do, and something else that can do the same: for classes of which there is no sample.
_STAND_INS: Mapping[Sequence[str], Sequence[Any]] = {
    ("__float__", "__int__", "__index__", "__complex__"): (1, 1.0),
    ("__iter__", "__getitem__"): (iter(()),),
    ("__fspath__",): (pathlib.PurePath(),),
    ("__call__",): (len,),
    (): (object(),),
}
_WRONG_TYPE = ("is_instance_of", "is_subclass_of", "is_hashable", "none_required", "sequence_str")


def never_taken(given: Any, wanted: Any) -> bool:
    """Tell whether pydantic refuses every value of a type for another one.

    What containers hold is not looked at.

    Args:
        given: A class, also with arguments, or a `Literal`.
        wanted: The same, of a parameter.
    """
    values = _all_values(given)
    if values is not None:
        return all(_value_never_taken(value, wanted) for value in values)
    kind = typing.cast("type", class_of(given))
    if typing.get_origin(wanted) is typing.Literal:
        return not any(_may_be_equal(kind, type(value)) for value in typing.get_args(wanted))
    wanted_kind = typing.cast("type", class_of(wanted))
    if _related(kind, wanted_kind) or _is_abstract(kind):
        # pydantic takes no text for `Sequence[str]`, though it is one.
        return issubclass(kind, str) and typing.get_args(wanted) != () and _refuses(wanted, "")
    if members := list(wanted_kind) if issubclass(wanted_kind, enum.Enum) else []:
        return not _finds_members(wanted_kind) and not any(
            _may_be_equal(kind, type(member.value)) or not never_taken(kind, type(member.value))
            for member in members
        )
    if _is_record(wanted_kind):
        return not (issubclass(kind, Mapping) or _takes_more(wanted_kind))
    judged = not _has_own_schema(wanted_kind) or _SAMPLES.keys() & kind.__mro__
    return bool(judged) and all(_refuses(wanted, sample) for sample in _samples(kind))


def fields_to_fill(kind: type | None) -> Mapping[str, Field]:
    """Return the fields of a class to which pydantic converts a map, by their keys in the map."""
    found = fields(kind) if kind is not None and not _takes_more(kind) else None
    validators = getattr(getattr(kind, "__pydantic_decorators__", None), "field_validators", {})
    converted = {
        name
        for validator in validators.values()
        if validator.info.mode != "after"
        for name in validator.info.fields
    }
    free = found.keys() if found and "*" in converted else converted
    return {
        field.key: replace(field, annotation=Any) if name in free else field
        for name, field in (found or {}).items()
        if field.key is not None
    }


def _all_values(given: Any) -> Sequence[Any] | None:
    """Return all values of a type, if they are few."""
    if typing.get_origin(given) is typing.Literal:
        return typing.get_args(given)
    kind = class_of(given)
    is_closed = kind is not None and issubclass(kind, enum.Enum) and not issubclass(kind, enum.Flag)
    return (list(typing.cast("type[enum.Enum]", kind)) or None) if is_closed else None


def _value_never_taken(value: Any, wanted: Any) -> bool:
    wanted_kind = class_of(wanted)
    if wanted_kind is None:
        return _refuses(wanted, value, for_any_reason=True)
    if _is_record(wanted_kind):
        return not _takes_more(wanted_kind)
    if issubclass(wanted_kind, enum.Enum):
        return not _finds_members(wanted_kind) and _refuses(wanted, value, for_any_reason=True)
    # A class of the user may have validators, which tell nothing about types.
    return _refuses(wanted, value, for_any_reason=wanted_kind.__module__ in sys.stdlib_module_names)


def _related(kind: type, wanted: type) -> bool:
    """Tell whether one is a subclass of the other: what is annotated with a class may be of a subclass."""
    generics = [getattr(each, "__pydantic_generic_metadata__", {}).get("origin") for each in (kind, wanted)]
    if is_typeddict(kind) or is_typeddict(wanted):
        return kind is wanted
    try:
        return issubclass(kind, wanted) or issubclass(wanted, kind) or None is not generics[0] is generics[1]
    except TypeError:  # of a class that cannot be asked
        return True


def _is_abstract(kind: type) -> bool:
    """Tell whether a class is an interface that classes of any kind have, as `Iterable`."""
    return inspect.isabstract(kind) and not issubclass(kind, Mapping | Sequence | AbstractSet)


def _may_be_equal(kind: type, other: type) -> bool:
    return _related(kind, other) or (_is_number(kind) and _is_number(other))


def _is_number(kind: type) -> bool:
    return kind is complex or _has(kind, ("__float__", "__int__", "__index__"))


def _has(kind: type, names: Sequence[str]) -> bool:
    """Tell whether instances of a class have one of some methods."""
    return any(name in vars(base) for base in kind.__mro__ for name in names)


def _finds_members(kind: type[enum.Enum]) -> bool:
    """Tell whether an enumeration has its own way to find a member."""
    return kind._missing_.__func__ is not enum.Enum._missing_.__func__  # type: ignore[attr-defined]


def _is_record(kind: type) -> bool:
    """Tell whether pydantic builds a class from a map of its fields only."""
    return issubclass(kind, BaseModel) or is_dataclass(kind) or is_typeddict(kind)


def _takes_more(kind: type) -> bool:
    """Tell whether a record may also be made of something else, by its own validators or configuration."""
    own_schema = getattr(kind, "__get_pydantic_core_schema__", None)
    if issubclass(kind, BaseModel):
        own_schema = own_schema.__func__ is not BaseModel.__get_pydantic_core_schema__.__func__  # type: ignore[union-attr, attr-defined]
    config = getattr(kind, "model_config", None) or getattr(kind, "__pydantic_config__", None) or {}
    decorators = getattr(kind, "__pydantic_decorators__", None)
    validators = decorators.model_validators.values() if decorators else ()
    return (
        bool(own_schema)
        or issubclass(kind, RootModel)
        or bool(config.get("from_attributes"))
        or any(validator.info.mode != "after" for validator in validators)
        or bool(decorators and decorators.root_validators)
    )


def _samples(kind: type) -> Sequence[Any]:
    """Return values that pydantic treats as it does those of a class."""
    for base in kind.__mro__:
        if base in _SAMPLES:
            return _SAMPLES[base]
    if issubclass(kind, Mapping):
        return _SAMPLES[dict]
    return [
        stand_in
        for methods, stand_ins in _STAND_INS.items()
        if not methods or _has(kind, methods)
        for stand_in in stand_ins
    ]


def _has_own_schema(kind: type) -> bool:
    return hasattr(kind, "__get_pydantic_core_schema__") and not kind.__module__.startswith("pydantic")


def _refuses(wanted: Any, value: Any, *, for_any_reason: bool = False) -> bool:
    """Tell whether pydantic refuses a value for its type."""
    try:
        _adapter(wanted).validate_python(value)
    except ValidationError as error:
        return for_any_reason or all(
            not detail["loc"] and (detail["type"].endswith("_type") or detail["type"] in _WRONG_TYPE)
            for detail in error.errors()
        )
    except Exception:  # noqa: BLE001 - the user's validators may raise anything
        return False
    return False


def _adapter(wanted: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(wanted, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        # A model or a dataclass brings its own configuration.
        return TypeAdapter(wanted)
