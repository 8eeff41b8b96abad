"""What a flow takes and gives, read from its signature."""

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from prefect import Flow
from pydantic.fields import FieldInfo

from lume_services.flows.checks.annotations import type_hints, type_name

_AWAITED = (collections.abc.Awaitable, collections.abc.Coroutine)
_ITERATED = (
    collections.abc.Iterable,
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
)


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
    def secret(self) -> bool:
        """Whether its values are secrets, which are never stored or shown."""
        return "Secret" in type_name(self.annotation)

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
        returns: The type of what a run of the flow gives; `Any` where none is written.
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
    return Signature(parameters, is_open, flow_value(flow.fn))


def _parameter(annotation: Any, default: Any) -> Parameter:
    if not isinstance(default, FieldInfo):
        return Parameter(annotation, default)
    # `x: int = Field(3, gt=0)`
    own_default = inspect.Parameter.empty if default.is_required() else default.default
    return Parameter(Annotated[annotation, default], own_default)


def flow_value(function: Callable[..., Any]) -> Any:
    """Return the type of what a run of a flow gives: of a generator, the list of what it yields."""
    returns = _awaited(type_hints(function).get("return", Any))
    if not _is_generator(function):
        return returns
    arguments = typing.get_args(returns)
    return list[arguments[0]] if arguments and typing.get_origin(returns) in _ITERATED else list  # type: ignore[valid-type]


def task_value(function: Callable[..., Any]) -> Any:
    """Return the type of what a call of a task gives; a generator's, unlike a flow's, is not known."""
    return Any if _is_generator(function) else _awaited(type_hints(function).get("return", Any))


def _is_generator(function: Callable[..., Any]) -> bool:
    function = inspect.unwrap(function)
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _awaited(annotation: Any) -> Any:
    arguments = typing.get_args(annotation)
    return arguments[-1] if arguments and typing.get_origin(annotation) in _AWAITED else annotation
