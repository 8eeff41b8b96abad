"""Values for the parameters of steps, as given on the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lume_services.errors import Problem, SpecError

if TYPE_CHECKING:
    from lume_services.flows import FlowOfFlows

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="STEP.PARAM=VALUE", help="Give a parameter a value; may be repeated."),
]
ParamsOption = Annotated[
    Path | None,
    typer.Option("--params", help="YAML or JSON file with values by step and parameter; --set is stronger."),
]
SpecArgument = Annotated[Path, typer.Argument(metavar="SPEC", help="The YAML file.")]

Values = dict[str, dict[str, Any]]


def read_flow_of_flows(
    spec: Path, params: Path | None, assignments: Sequence[str]
) -> tuple[FlowOfFlows, Values]:
    """Check a spec and the values for a run of it, and return both.

    Raises:
        SpecError: All problems of the spec and of the values, in one report.
    """
    composed, values = _read(spec, params, assignments, whole=True)
    composed.check(values)
    return composed, values


def read_part(spec: Path, params: Path | None, assignments: Sequence[str]) -> tuple[FlowOfFlows, Values]:
    """Check a spec, and return it with values to which others will be added.

    Raises:
        SpecError: All problems of the spec, in one report.
    """
    return _read(spec, params, assignments, whole=False)


def _read(
    spec: Path, params: Path | None, assignments: Sequence[str], *, whole: bool
) -> tuple[FlowOfFlows, Values]:
    from lume_services.flows import FlowOfFlows

    given = _read_params(params)
    texts = _split(assignments)
    guessed = _merged(given, {key: _from_json(text) for key, text in texts.items()})
    try:
        composed = FlowOfFlows.from_yaml(spec)
    except SpecError:
        FlowOfFlows.from_yaml(spec, parameters=guessed if whole else None)
        raise
    return composed, _merged(given, {key: _typed(composed, key, text) for key, text in texts.items()})


def _read_params(path: Path | None) -> Values:
    import yaml

    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_bytes()) or {}
    except yaml.YAMLError as error:
        raise SpecError(f"{path} cannot be used", [Problem(f"not YAML: {error}", str(path))]) from error
    if not (isinstance(found, dict) and all(isinstance(group, dict) for group in found.values())):
        message = "must be a map of steps to maps of parameters."
        problem = Problem(message, str(path), "As `track: {points: 15}`.")
        raise SpecError(f"{path} cannot be used", [problem])
    return found


def _split(assignments: Sequence[str]) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    problems = []
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        step, dot, parameter = name.rpartition(".")
        if equals and dot and step and parameter:
            found[step, parameter] = text
        else:
            message = f"{assignment!r} is not STEP.PARAM=VALUE."
            problems.append(Problem(message, "--set", "As track.points=15."))
    if problems:
        raise SpecError("the values cannot be used", problems)
    return found


def _merged(given: Values, assigned: Mapping[tuple[str, str], Any]) -> Values:
    merged = {step: dict(group) for step, group in given.items()}
    for (step, parameter), value in assigned.items():
        merged.setdefault(step, {})[parameter] = value
    return merged


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _typed(composed: FlowOfFlows, key: tuple[str, str], text: str) -> Any:
    """Return what a text means for a parameter: JSON where that fits its type, otherwise the text."""
    from pydantic import TypeAdapter, ValidationError

    step, name = key
    value = _from_json(text)
    signature = composed.signatures.get(step)
    parameter = signature.parameters.get(name) if signature else None
    if parameter is None or isinstance(value, str):
        return value
    try:
        TypeAdapter(parameter.annotation).validate_python(value)
    except ValidationError:
        return text
    except Exception:  # noqa: BLE001 - an annotation that pydantic has no form for; the check will tell
        return value
    return value
