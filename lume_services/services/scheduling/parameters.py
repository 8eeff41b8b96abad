"""The parameters of a run, checked against its flow before the run exists."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from lume_services.errors import FlowParametersError, Problem, choose_from

if TYPE_CHECKING:
    from prefect import Flow

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def bind_parameters(flow: Flow[..., Any], parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the complete parameters of a run, the flow's defaults included.

    Raises:
        FlowParametersError: A name is not a parameter of the flow, or a required one is missing.
    """
    from prefect.utilities.callables import get_call_parameters

    given = dict(parameters or {})
    problems = _problems(inspect.signature(flow.fn), given, bound="__prefect_self__" in vars(flow.fn))
    if problems:
        raise FlowParametersError(f"flow {flow.name!r} cannot run with these parameters", problems)
    return get_call_parameters(flow.fn, (), given)


def jsonable_parameters(
    schema: Mapping[str, Any], parameters: Mapping[str, Any] | None, flow_name: str
) -> dict[str, Any]:
    """Return the parameters of a run elsewhere, as the API takes them.

    Args:
        schema: The parameter schema that the flow was registered with.
        parameters: By name.
        flow_name: For errors.

    Raises:
        FlowParametersError: A name is not a parameter of the flow, a required one is missing, or a value is
            nothing that JSON can hold; all at once.
    """
    given = dict(parameters or {})
    known = schema.get("properties", {})
    problems = [
        Problem("no such parameter.", where=name, remedy=choose_from(name, known))
        for name in given
        if name not in known
    ]
    problems += [
        Problem("required and not given.", where=name)
        for name in schema.get("required", [])
        if name not in given
    ]
    values = {}
    for name, value in given.items():
        try:
            values[name] = to_jsonable_python(value)
        except PydanticSerializationError as error:
            remedy = "Store it as a file or a result, and pass the reference to it."
            problems.append(
                Problem(f"cannot be sent to another process: {error}.", where=name, remedy=remedy)
            )
    if problems:
        raise FlowParametersError(f"flow {flow_name!r} cannot run with these parameters", problems)
    return values


def _problems(signature: inspect.Signature, given: Mapping[str, Any], *, bound: bool) -> list[Problem]:
    declared = list(signature.parameters.values())[1 if bound else 0 :]
    by_name = {p.name: p for p in declared if p.kind in _BY_NAME}
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in declared)
    unknown = [
        Problem("no such parameter.", where=name, remedy=choose_from(name, by_name))
        for name in given
        if name not in by_name and not takes_any
    ]
    missing = [
        Problem("required and not given.", where=name)
        for name, parameter in by_name.items()
        if parameter.default is inspect.Parameter.empty and name not in given
    ]
    return unknown + missing
