"""Take annotations apart: unions, aliases, containers, and classes with fields."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any

import annotated_types
import typing_extensions
from pydantic import AfterValidator, BaseModel, ConfigDict, PydanticUserError, TypeAdapter
from pydantic.fields import FieldInfo

# Of these, the arguments tell what an instance holds, and pydantic validates each item.
_COLLECTIONS = (
    list,
    tuple,
    set,
    frozenset,
    collections.deque,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Set,
    collections.abc.MutableSet,
)
_MAPPINGS = (
    dict,
    collections.OrderedDict,
    collections.defaultdict,
    collections.abc.Mapping,
    collections.abc.MutableMapping,
)
_QUALIFIERS = (
    Annotated,
    typing.Final,
    typing.ClassVar,
    typing_extensions.Required,
    typing_extensions.NotRequired,
    typing_extensions.ReadOnly,
)
# Beside a type, these narrow what fits. Anything else may be a validator, which may take anything.
_NARROWING = (annotated_types.BaseMetadata, annotated_types.GroupedMetadata, AfterValidator, str)


@dataclass(frozen=True)
class Field:
    """A field of a class.

    Attributes:
        annotation: Its type.
        required: Whether it is always there.
        key: Its name in a map that is converted to the class; None where that may be another one.
    """

    annotation: Any
    required: bool
    key: str | None


def alternatives(annotation: Any, *, validated: bool = False) -> Iterator[Any]:
    """Yield the plain types that an annotation stands for: classes, with their arguments, and literals.

    What cannot be known is `Any`.

    Args:
        annotation: As `int | None`, `Annotated[int, …]`, a `NewType`, a `TypeVar`, an alias.
        validated: Whether pydantic converts values to it. Then a validator makes it unknown what fits.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    meant = _meaning(annotation)
    if validated and origin is Annotated and _converts(annotation.__metadata__):
        yield Any
    elif origin in (typing.Union, types.UnionType):
        for argument in arguments:
            yield from alternatives(argument, validated=validated)
    elif meant is not annotation:
        yield from alternatives(meant, validated=validated)
    else:
        known = origin is typing.Literal or isinstance(origin or annotation, type)
        yield annotation if known and not _is_open(origin or annotation) else Any


def _meaning(annotation: Any) -> Any:
    """Return what an annotation is another name for; else itself."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in _QUALIFIERS:
        return arguments[0]
    if annotation is None:
        return NoneType
    if isinstance(annotation, typing.NewType):
        return annotation.__supertype__
    if isinstance(annotation, typing.TypeVar):
        bound = Any if annotation.__bound__ is None else annotation.__bound__
        return typing.Union[annotation.__constraints__ or (bound,)]  # noqa: UP007 - a tuple of them
    if hasattr(origin or annotation, "__value__") and not isinstance(origin or annotation, type):
        return _value_of_alias(origin or annotation, arguments)
    return annotation


def _value_of_alias(alias: Any, arguments: tuple[Any, ...]) -> Any:
    """Return what `type X[T] = …` stands for; its right side is evaluated only now."""
    try:
        return alias.__value__[arguments] if arguments else alias.__value__
    except Exception:  # noqa: BLE001 - it may be any expression
        return Any


def _converts(metadata: tuple[Any, ...]) -> bool:
    return any(
        _converts(tuple(part.metadata)) if isinstance(part, FieldInfo) else not isinstance(part, _NARROWING)
        for part in metadata
    )


def _is_open(kind: Any) -> bool:
    """Tell whether what is annotated with a class can be anything: Prefect's futures stand for values."""
    module = str(getattr(kind, "__module__", ""))
    return kind is object or getattr(kind, "_is_protocol", False) or module.partition(".")[0] == "prefect"


def class_of(plain: Any) -> type | None:
    """Return the class of one of the `alternatives`; None for `Any` and for literals."""
    kind = typing.get_origin(plain) or plain
    return kind if isinstance(kind, type) and kind is not Any else None


def positions(plain: Any) -> tuple[Any, ...] | None:
    """Return the types in a tuple of fixed length, as `tuple[int, str]` or a `NamedTuple`; else None."""
    kind = class_of(plain)
    if kind is not None and issubclass(kind, tuple) and hasattr(kind, "_fields"):
        hints = type_hints(kind)
        return tuple(hints.get(name, Any) for name in kind._fields)
    if kind is not tuple or plain in (tuple, typing.Tuple):  # noqa: UP006 - it is not equal to tuple
        return None
    arguments = typing.get_args(plain)
    return None if Ellipsis in arguments or any(map(_unpacks, arguments)) else arguments


def _unpacks(argument: Any) -> bool:
    unpack = typing_extensions.Unpack
    return getattr(argument, "__unpacked__", False) or typing.get_origin(argument) is unpack


def item(plain: Any) -> Any:
    """Return the type of each item of a list, a set and the like; `Any` where it is not known."""
    arguments = typing.get_args(plain)
    return arguments[0] if arguments and class_of(plain) in _COLLECTIONS else Any


def entry(plain: Any) -> tuple[Any, Any]:
    """Return the types of the keys and the values of a dict and the like; `Any` where they are not known."""
    arguments = typing.get_args(plain)
    known = class_of(plain) in _MAPPINGS and len(arguments) == len(("key", "value"))
    return (arguments[0], arguments[1]) if known else (Any, Any)


def fields(kind: type) -> Mapping[str, Field] | None:
    """Return the fields of a model, a dataclass, a `TypedDict` or a `NamedTuple`; None of other classes."""
    return next((read(kind) for is_one, read in _FIELDS_OF if is_one(kind)), None)


def _model_fields(model: type[BaseModel]) -> dict[str, Field]:
    return {
        name: Field(
            Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation,
            required=field.is_required(),
            key=name if field.validation_alias is None else None,
        )
        for name, field in model.model_fields.items()
    }


def _dataclass_fields(kind: Any) -> dict[str, Field]:
    hints, missing = type_hints(kind), dataclasses.MISSING
    return {
        field.name: Field(
            hints.get(field.name, Any),
            required=field.init and field.default is missing and field.default_factory is missing,
            key=field.name if field.init else None,
        )
        for field in dataclasses.fields(kind)
    }


def _typeddict_fields(kind: Any) -> dict[str, Field]:
    hints = type_hints(kind)
    return {
        name: Field(hints.get(name, Any), required=name in kind.__required_keys__, key=name)
        for name in kind.__required_keys__ | kind.__optional_keys__
    }


def _namedtuple_fields(kind: Any) -> dict[str, Field]:
    hints = type_hints(kind)
    return {
        name: Field(hints.get(name, Any), required=name not in kind._field_defaults, key=name)
        for name in kind._fields
    }


_FIELDS_OF: tuple[tuple[Callable[[type], bool], Callable[[Any], dict[str, Field]]], ...] = (
    (lambda kind: issubclass(kind, BaseModel), _model_fields),
    (dataclasses.is_dataclass, _dataclass_fields),
    (typing_extensions.is_typeddict, _typeddict_fields),
    (lambda kind: issubclass(kind, tuple) and hasattr(kind, "_fields"), _namedtuple_fields),
)


def type_hints(thing: Any) -> dict[str, Any]:
    """Return the annotations of a function or a class as types, leaving out those that cannot be resolved."""
    hints: dict[str, Any] = {}
    for owner in reversed(getattr(thing, "__mro__", (thing,))):
        scope = vars(sys.modules.get(inspect.unwrap(owner).__module__, types))
        for name, written in inspect.get_annotations(owner).items():
            # Each by itself: one that is only imported for type checkers would spoil them all.
            single = types.SimpleNamespace(__annotations__={name: written})
            try:
                hints |= typing_extensions.get_type_hints(single, scope, include_extras=True)
            except Exception:  # noqa: BLE001 - it may be any expression
                hints.pop(name, None)
    return hints


def type_name(annotation: Any) -> str:
    """Return an annotation as it is written, without modules and without what `Annotated` adds to it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if annotation in (None, NoneType):
        return "None"
    if isinstance(annotation, list):  # of the arguments of a Callable
        return f"[{', '.join(map(type_name, annotation))}]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(type_name, arguments))
    named = origin or annotation
    name = getattr(named, "__name__", None) or getattr(named, "_name", None)
    if not name:
        return "..." if annotation is Ellipsis else inspect.formatannotation(annotation)
    show = repr if origin is typing.Literal else type_name
    return f"{name}[{', '.join(map(show, arguments))}]" if arguments else str(name)


def adapter_of(annotation: Any) -> TypeAdapter[Any] | None:
    """Return what checks and converts values as Prefect does, or None where any value will do."""
    if annotation is Any:
        return None
    try:
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        # A model or a dataclass brings its own configuration.
        return TypeAdapter(annotation)


def takes_decimals(annotation: Any) -> bool:
    """Tell whether values of a type have decimal numbers, which have more digits than a float."""
    try:
        adapter = adapter_of(annotation)
    except Exception:  # noqa: BLE001 - pydantic has no form for it; other checks tell
        return False
    return adapter is not None and "'type': 'decimal'" in str(adapter.core_schema)
