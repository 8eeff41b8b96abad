"""From a document to a spec: every part that does not have the right form is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lume_services.errors import choose_from
from lume_services.flows.checks.findings import Findings
from lume_services.flows.document import Document
from lume_services.flows.spec import MappedParameter, MapType, Spec, StepSpec
from lume_services.values.written import Loc

Steps = dict[int, StepSpec]
"""The steps of a spec by their position in `composing_flows`."""


def parse(document: Document, findings: Findings) -> Steps:
    """Check the form of a spec.

    Returns:
        The steps. Where the form of one is wrong, it is without its wrong parts, so that the checks
        which follow find the rest of the problems in the same go.
    """
    try:
        spec = Spec.model_validate(document.data)
    except ValidationError as error:
        for loc, message, remedy in _explanations(error):
            findings.problem(loc, message, remedy)
        return dict(_readable_steps(document.data))
    return dict(enumerate(spec.composing_flows))


def _readable_steps(data: Any) -> Iterator[tuple[int, StepSpec]]:
    written = data.get("composing_flows") if isinstance(data, Mapping) else None
    for index, step in enumerate(written if isinstance(written, list | tuple) else ()):
        readable = _readable_step(step)
        if readable is not None:
            yield index, readable


def _readable_step(written: Any) -> StepSpec | None:
    rest = _copy_of_maps(written)
    while isinstance(rest, dict):
        try:
            return StepSpec.model_validate(rest)
        except ValidationError as error:
            wrong = [_wrong_part(detail) for detail in error.errors()]
        taken_out = [_take_out(rest, loc) for loc in wrong if loc]
        if () in wrong or not any(taken_out):
            break
    return None


def _copy_of_maps(value: Any) -> Any:
    return {key: _copy_of_maps(part) for key, part in value.items()} if isinstance(value, Mapping) else value


def _wrong_part(detail: ErrorDetails) -> Loc:
    """Return the part to leave out: where a key is missing, all that it is missing in."""
    loc = detail["loc"]
    return loc[:-1] if detail["type"] == "missing" or loc[-1:] == ("[key]",) else loc


def _take_out(value: Any, loc: Loc) -> bool:
    for key in loc[:-1]:
        value = value.get(key, {})
    return value.pop(loc[-1], value) is not value


def _explanations(error: ValidationError) -> Iterator[tuple[Loc, str, str | None]]:
    for detail in error.errors():
        message, remedy = _explain(detail)
        yield detail["loc"], message, remedy


def _explain(detail: ErrorDetails) -> tuple[str, str | None]:
    loc, value = detail["loc"], detail["input"]
    key, found = loc[-1] if loc else None, _kind(value)
    remedy: str | None = None
    match detail["type"]:
        case "extra_forbidden":
            message = f"unknown key {key!r}."
            remedy = choose_from(key, _model_at(loc[:-1]).model_fields)
        case "missing":
            message, remedy = f"the key {key!r} is missing.", f"Write {key}: and its value."
        case "model_type" | "dict_type":
            message = f"{_named(loc)} must be a map, not {found}."
            remedy = "Write it as lines of `key: value`."
        case "list_type":
            message = f"{_named(loc)} must be a list, not {found}."
            remedy = "Begin each item with a dash: `- item`."
        case "string_type":
            message = f"{_named(loc)} must be text, not {found}."
            remedy = "Write it in quotes." if isinstance(value, int | float) else None
        case "too_short" | "string_too_short":
            message = f"{_named(loc)} is empty."
        case "string_pattern_mismatch":
            message = f"{value!r} is not a name for a flow."
            remedy = "Leave out the characters / % & < >."
        case "literal_error":
            message, remedy = f"unknown {key} {value!r}.", choose_from(value, get_args(MapType))
        case _:
            message = f"{_named(loc)} {detail['msg'].removeprefix('Value error, ')}"
    return message, remedy


def _model_at(loc: Loc) -> type[BaseModel]:
    match loc:
        case ():
            return Spec
        case (_, _):
            return StepSpec
        case _:
            return MappedParameter


def _named(loc: Loc) -> str:
    """Name a part by its last keys, as `composing_flows`, `composing_flows item 2` or `name`."""
    match loc:
        case ():
            return "the spec"
        case (*_, str(field), int(index)):
            return f"{field} item {index + 1}"
        case (*_, str(field), name, "[key]"):
            return f"the name {name!r} in {field}"
        case _:
            return str(loc[-1])


_KINDS: Sequence[tuple[type | UnionType, str]] = (
    (NoneType, "nothing"),
    (bool, "true or false"),
    (int | float, "a number"),
    (str, "text"),
    (Mapping, "a map"),
    (list | tuple, "a list"),
)


def _kind(value: Any) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), f"a {type(value).__name__}")
