"""What a flow takes and gives, read from its signature."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from prefect import Flow
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Parameter:
    """A parameter of a flow.

    Attributes:
        annotation: Its type; `Any` where none is written, or where Prefect does not check it.
        default: Its default, or `inspect.Parameter.empty`.
    """

    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class Signature:
    """The signature of a flow.

    Attributes:
        parameters: The parameters that can be given by name.
        open: Whether the flow takes any other name too, by `**kwargs`.
        returns: The type of the return value; `Any` where none is written.
    """

    parameters: Mapping[str, Parameter]
    open: bool
    returns: Any


def signature_of(flow: Flow[..., Any]) -> Signature:
    """Read the signature of a flow, without running anything of it."""
    hints = type_hints(flow.fn)
    parameters = {}
    is_open = False
    for name, parameter in inspect.signature(flow.fn).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            is_open = True
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            annotation = hints.get(name, Any) if flow.should_validate_parameters else Any
            parameters[name] = _parameter(annotation, parameter.default)
    return Signature(parameters, is_open, hints.get("return", Any))


def _parameter(annotation: Any, default: Any) -> Parameter:
    if not isinstance(default, FieldInfo):
        return Parameter(annotation, default)
    # `x: int = Field(3, gt=0)`
    own_default = inspect.Parameter.empty if default.is_required() else default.default
    return Parameter(Annotated[annotation, default], own_default)


def type_hints(function: Any) -> dict[str, Any]:
    """Return the annotations of a function as types, leaving out those that cannot be resolved."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError):
        # One annotation that is only imported for type checkers spoils them all: take what is a type already.
        annotations = inspect.get_annotations(function)
        return {name: hint for name, hint in annotations.items() if not isinstance(hint, str)}


def type_name(annotation: Any) -> str:
    """Return a type as it is written, without what `Annotated` adds to it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " | ".join(type_name(argument) for argument in arguments)
    if annotation is types.NoneType:
        return "None"
    return (
        annotation.__name__
        if isinstance(annotation, type) and not origin
        else inspect.formatannotation(annotation)
    )
