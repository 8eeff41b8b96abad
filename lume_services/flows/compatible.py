"""Tell whether a type can never fit a parameter."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from types import NoneType
from typing import Any

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError

# One harmless value of each type: pydantic's own rules then tell what fits what.
_SAMPLES: dict[type, tuple[Any, ...]] = {
    NoneType: (None,),
    bool: (True,),
    int: (1,),
    float: (1.0,),
    complex: (1j,),
    str: ("",),
    bytes: (b"",),
    dict: ({},),
    list: ([],),
    tuple: ((),),
    set: (set(),),
    frozenset: (frozenset(),),
}
_WRONG_TYPE = ("is_instance_of", "is_subclass_of", "none_required")


def never_fits(given: Any, wanted: Any) -> bool:
    """Tell whether no value of the type `given` can be a value for the type `wanted`.

    Only certain misfits count: `float` for `int` may fit (2.0), `int` for `str` never does. What is
    not annotated, and what this cannot judge, may fit.
    """
    wanted_kinds = list(_alternatives(wanted))
    return all(_never(one, other) for one in _alternatives(given) for other in wanted_kinds)


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Take unions, `Annotated`, new types and literals apart."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _alternatives(argument)
    elif origin is typing.Literal:
        yield from {type(value) for value in typing.get_args(annotation)}
    elif origin is typing.Annotated:
        # What stands beside the type may be a validator, which changes what fits.
        yield Any
    elif isinstance(annotation, typing.NewType):
        yield from _alternatives(annotation.__supertype__)
    else:
        yield NoneType if annotation is None else annotation


def _never(given: Any, wanted: Any) -> bool:
    given_class = typing.get_origin(given) or given
    wanted_class = typing.get_origin(wanted) or wanted
    if not isinstance(given_class, type) or given_class in (Any, object) or wanted_class in (Any, object):
        return False
    if given_class in _SAMPLES:
        return all(_wrong_type(sample, wanted) for sample in _SAMPLES[given_class])
    if not isinstance(wanted_class, type) or inspect.isabstract(wanted_class):
        return False
    if issubclass(given_class, wanted_class) or issubclass(wanted_class, given_class):
        return False
    if issubclass(given_class, BaseModel):
        return _wrong_type(given_class.model_construct(), wanted)
    # Of any other class there is no sample. A type of pydantic's own, or a builtin as float, may take it.
    plain = (
        not hasattr(wanted_class, "__get_pydantic_core_schema__") and wanted_class.__module__ != "builtins"
    )
    return plain or wanted_class in (str, bytes, NoneType)


def _wrong_type(sample: Any, wanted: Any) -> bool:
    try:
        _adapter(wanted).validate_python(sample)
    except ValidationError as error:
        return all(
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
