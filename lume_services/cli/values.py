"""Values for the parameters of steps, as given on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lume_services.errors import Problem, SpecError, UnreadableFileError
from lume_services.values.regular import read_text
from lume_services.values.written import Written, meaning, read_written

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

_MOST_BYTES = 16_000_000
_MOST_PARTS = 300_000


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

    given = _merged(_read_params(params), _read_assignments(assignments))
    guessed = _each(given, lambda _step, _name, value: value.plain)
    try:
        composed = FlowOfFlows.from_yaml(spec)
    except SpecError:
        FlowOfFlows.from_yaml(spec, parameters=guessed if whole else None)
        raise
    return composed, _each(given, lambda step, name, value: value.of(_annotation(composed, step, name)))


@dataclass(frozen=True)
class _Given:
    """A value as it was given.

    Attributes:
        plain: What it means by itself.
        exact: The same, with numbers that have a point or an exponent as text: all their digits.
        text: What was typed; None for a value in a file.
    """

    plain: Any
    exact: Any
    text: str | None = None

    def of(self, annotation: Any) -> Any:
        """Return the value for a parameter.

        Where the type has decimal numbers, these are given as text, which has all digits. What was typed is
        JSON where that fits the type, otherwise the text.
        """
        from pydantic import ValidationError

        from lume_services.flows.checks.annotations import adapter_of, takes_decimals

        if annotation is None or isinstance(self.plain, str):
            return self.plain
        try:
            adapter = adapter_of(annotation)
        except Exception:  # noqa: BLE001 - an annotation that pydantic has no form for; the check will tell
            return self.plain
        if adapter is None:
            return self.plain
        for value in (self.exact, self.plain) if takes_decimals(annotation) else (self.plain,):
            try:
                adapter.validate_python(value)
            except ValidationError:
                continue
            except Exception:  # noqa: BLE001 - of a validator of the user; the check will tell
                return self.plain
            return value
        return self.plain if self.text is None else self.text


_Values = dict[str, dict[str, _Given]]


def _annotation(composed: FlowOfFlows, step: str, name: str) -> Any:
    """Return the type of a parameter, or None where there is no such parameter."""
    signature = composed.signatures.get(step)
    parameter = signature.parameters.get(name) if signature else None
    return parameter.annotation if parameter else None


def _each(given: _Values, value: Callable[[str, str, _Given], Any]) -> Values:
    return {
        step: {name: value(step, name, one) for name, one in group.items()} for step, group in given.items()
    }


def _read_params(path: Path | None) -> _Values:
    if path is None:
        return {}
    summary = f"{path} cannot be used"
    try:
        text = read_text(path, what="file of values", most=_MOST_BYTES)
        plain = read_written(text, str(path), what="file of values", most=_MOST_PARTS)
        exact = read_written(text, str(path), what="file of values", floats=_digits, most=_MOST_PARTS)
    except UnreadableFileError as error:
        remedy = error.remedy or "Give a YAML or JSON file."
        raise SpecError(summary, [Problem(error.message, error.where, remedy)]) from error
    problems = [problem for _, problem in plain.problems] or list(_problems_of_form(plain, str(path)))
    if problems:
        raise SpecError(summary, problems)
    groups = (plain.data or {}).items()
    return {
        step: {name: _Given(value, exact.data[step][name]) for name, value in group.items()}
        for step, group in groups
    }


def _problems_of_form(written: Written, source: str) -> Iterator[Problem]:
    data = {} if written.data is None else written.data
    if not (isinstance(data, dict) and all(isinstance(group, dict) for group in data.values())):
        message = "must be a map of steps to maps of parameters."
        yield Problem(message, source, "As `track: {points: 15}`.")
        return
    names = [(key,) for key in data] + [(step, key) for step, group in data.items() for key in group]
    for loc in names:
        if not isinstance(loc[-1], str):
            place = written.places[loc]
            yield Problem(
                f"the name {loc[-1]!r} is not text.", f"{source}:{place.line}", "Write it in quotes."
            )


def _digits(text: str) -> str:
    """Return the text of a number so that a decimal number can be made of it."""
    return text.lower().replace(".inf", "inf").replace(".nan", "nan")


def _read_assignments(assignments: Sequence[str]) -> _Values:
    found: _Values = {}
    problems = []
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        step, dot, parameter = name.rpartition(".")
        if not (equals and dot and step and parameter):
            message = f"{assignment!r} is not STEP.PARAM=VALUE."
            problems.append(Problem(message, "--set", "As track.points=15."))
            continue
        try:
            assignment.encode()  # the shell hands over any bytes
            value = _Given(meaning(text), meaning(text, floats=_digits), text)
        except UnicodeEncodeError:
            problems.append(Problem(f"{assignment!r} is not UTF-8 text.", "--set"))
        except ValueError as error:
            problems.append(Problem(str(error), f"--set {name}"))
        else:
            found.setdefault(step, {})[parameter] = value
    if problems:
        raise SpecError("the values cannot be used", problems)
    return found


def _merged(given: _Values, stronger: _Values) -> _Values:
    return {
        step: {**given.get(step, {}), **stronger.get(step, {})} for step in dict.fromkeys([*given, *stronger])
    }
