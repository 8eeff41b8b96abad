"""The parameters of a run, checked against its flow before the run exists."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic_core import PydanticSerializationError, to_jsonable_python

from lume_services.errors import (
    EncodeError,
    FlowParametersError,
    LUMEServicesError,
    Problem,
    choose_from,
)
from lume_services.values import fingerprint

if TYPE_CHECKING:
    from prefect import Flow

# What says in a JSON schema which values a parameter takes.
_TYPED = frozenset({"type", "$ref", "anyOf", "allOf", "oneOf", "enum", "const"})
_LARGEST = 65_536  # characters of JSON; the API takes 512 kB for all parameters together
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
    schema: Mapping[str, Any],
    parameters: Mapping[str, Any] | None,
    flow_name: str,
    keep: Callable[[Any], Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the parameters of a run elsewhere, as the API takes them.

    A value that JSON does not hold as it is, or that is large, is kept elsewhere and sent as a reference.

    Args:
        schema: The parameter schema that the flow was registered with.
        parameters: By name.
        flow_name: For errors.
        keep: Keeps a value for the job, and returns the reference to it.

    Raises:
        FlowParametersError: A name is not a parameter of the flow, a required one is missing, or a value does
            not fit, or can neither be sent nor kept; all at once.
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
    problems += [
        Problem(
            "a secret cannot be a parameter of a run elsewhere: the server keeps parameters in clear.",
            where=name,
            remedy="Let the flow read it from an environment variable, which the worker gives to its jobs.",
        )
        for name in given
        if name in known and (_has_secret(given[name]) or known[name].get("writeOnly"))
    ]
    values = {}
    for name in [name for name in given if name in known]:
        try:
            sent, value = _as_json(given[name], has_type=bool(known[name].keys() & _TYPED))
            values[name] = value if sent else keep(given[name])
        except EncodeError as error:
            remedy = "Store it as a file or a result, and pass the reference to it."
            problems.append(
                Problem(f"cannot be sent to another process: {error.message}.", where=name, remedy=remedy)
            )
        else:
            problems += _misfits(schema, name, value) if sent else []
    if problems:
        raise FlowParametersError(f"flow {flow_name!r} cannot run with these parameters", problems)
    return values


def _as_json(value: Any, *, has_type: bool) -> tuple[bool, Any]:
    """Return whether a value can be sent as JSON, and as what.

    A parameter with a type makes the value again from JSON, as a datetime of a text; one without takes what
    it is given, so that JSON has to hold the very value.
    """
    try:
        found = to_jsonable_python(value)
        if len(json.dumps(found)) > _LARGEST:
            return False, None
        return has_type or fingerprint(found) == fingerprint(value), found
    except (PydanticSerializationError, ValueError, LUMEServicesError):
        return False, None


def _has_secret(value: Any) -> bool:
    if isinstance(value, SecretStr | SecretBytes):
        return True
    if isinstance(value, BaseModel):
        return any(_has_secret(getattr(value, name)) for name in type(value).model_fields)
    if isinstance(value, Mapping):
        return any(map(_has_secret, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_secret, value))


def _misfits(schema: Mapping[str, Any], name: str, value: Any) -> list[Problem]:
    """Return what the server would find wrong with a value."""
    from prefect.utilities.schema_tools import ValidationError, validate

    try:
        validate({name: value}, {**schema, "required": []}, raise_on_error=True, ignore_required=True)
    except ValidationError as error:
        return [Problem(f"does not fit: {error}", where=name)]
    return []


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
