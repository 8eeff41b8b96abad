"""The axes of a scan against the parameters that they are for: names, types, and what texts mean."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lume_services.errors import Problem, SpecError, choose_from
from lume_services.flows.checks.annotations import adapter_of, takes_decimals, type_name
from lume_services.flows.scans.axes import SUMMARY, Axis, Span, Values, Written, guess
from lume_services.flows.signature import Parameter, Signature
from lume_services.flows.spec import StepSpec

_MOST_SHOWN = 10
_PLAIN = (bool, int, float, str)


def step_and_parameter(key: str) -> tuple[str, str]:
    """Take `track.k1` apart. A step may have dots in its name, a parameter has none."""
    step, _, parameter = key.rpartition(".")
    return step, parameter


def typed_axes(
    axes: Sequence[Axis],
    steps: Mapping[str, StepSpec],
    signatures: Mapping[str, Signature],
    given: Mapping[str, Mapping[str, Any]],
) -> list[Axis]:
    """Return the axes with values as their parameters take them.

    Args:
        axes: The axes as they were read.
        steps: The steps of the spec by name.
        signatures: The signatures of their flows.
        given: The values for all points, by step and parameter.

    Raises:
        SpecError: A parameter is not known, or another step or a value gives it, or a value does not fit its
            type; all in one report.
    """
    problems = [one for axis in axes for one in _name_problems(axis, steps, signatures, given)]
    if problems:
        raise SpecError(SUMMARY, problems)
    found: list[Axis] = []
    for axis in axes:
        wanted = [
            _Wanted(signatures[step].parameters.get(name))
            for step, name in map(step_and_parameter, axis.keys)
        ]
        if isinstance(axis, Span):
            found.append(_typed_span(axis, wanted[0], problems))
        else:
            found.append(_typed_values(axis, wanted, problems))
    if problems:
        more = len(problems) - _MOST_SHOWN
        shown = problems[:_MOST_SHOWN] + ([Problem(f"and {more} more like these.")] if more > 0 else [])
        raise SpecError(SUMMARY, shown)
    return found


def _name_problems(
    axis: Axis,
    steps: Mapping[str, StepSpec],
    signatures: Mapping[str, Signature],
    given: Mapping[str, Mapping[str, Any]],
) -> Iterator[Problem]:
    for key in axis.keys:
        step, name = step_and_parameter(key)
        if step not in steps:
            yield Problem(f"there is no step {step!r}.", axis.source, choose_from(step, steps))
            continue
        mapped = steps[step].mapped_parameters
        known = signatures[step].parameters
        if name in mapped:
            message = f"the step {mapped[name].parent_flow_name!r} gives the parameter {name!r}."
            yield Problem(message, axis.source, "Scan over a parameter that no other step gives.")
        elif name not in known and not signatures[step].open:
            free = known.keys() - mapped.keys()
            message = f"the flow {steps[step].name!r} has no parameter {name!r}."
            yield Problem(message, axis.source, choose_from(name, free) if free else "It takes none.")
        elif name in known and known[name].secret:
            yield Problem("the values of a scan are stored, and this one is a secret.", axis.source)
        elif name in given.get(step, {}):
            yield Problem(f"a value for {key} is given for all points.", axis.source, "Leave one out.")


class _Wanted:
    """What a parameter takes."""

    def __init__(self, parameter: Parameter | None) -> None:
        annotation = parameter.annotation if parameter else Any
        self.name = type_name(annotation)
        self.adapter: TypeAdapter[Any] | None = adapter_of(annotation)
        self.untyped = annotation is Any
        self.decimals = takes_decimals(annotation)

    def value(self, given: Any) -> Any:
        """Return a value in the type of the parameter: plain ones converted, others as they were given.

        Raises:
            ValidationError: It does not fit.
        """
        if not isinstance(given, Written):
            return self._converted(given)
        meant = guess(given, floats=str if self.decimals else None)
        if isinstance(meant, str) or self.untyped:
            return self._converted(meant)
        try:
            return self._converted(meant)
        except ValidationError:
            return self._converted(str(given))

    def takes(self, given: Any) -> bool:
        """Tell whether a value fits."""
        try:
            self.value(given)
        except ValidationError:
            return False
        return True

    def _converted(self, value: Any) -> Any:
        if self.adapter is None:
            return value
        converted = self.adapter.validate_python(value)
        return converted if type(converted) in _PLAIN else value


def _typed_values(axis: Values, wanted: Sequence[_Wanted], problems: list[Problem]) -> Values:
    rows = []
    for number, row in enumerate(axis.rows):
        values = []
        for key, value, kind in zip(axis.keys, row, wanted, strict=True):
            try:
                values.append(kind.value(value))
            except ValidationError as error:
                problems.append(_misfit(key, value, kind, error, axis.where(number)))
        rows.append(tuple(values))
    return replace(axis, rows=rows)


def _typed_span(axis: Span, wanted: _Wanted, problems: list[Problem]) -> Span:
    ends = (axis.low, axis.high)
    whole = all(end.is_integer() for end in ends) and not wanted.takes(axis.low + 0.5)
    if whole:
        axis = replace(axis, low=int(axis.low), high=int(axis.high), whole=True)
    for end in ends:
        try:
            wanted.value(end)
        except ValidationError as error:
            problems.append(_misfit(axis.keys[0], end, wanted, error, axis.source))
    if whole and axis.log:
        problems.append(Problem("whole numbers are not drawn by logarithm.", axis.source, "Leave :log out."))
    return axis


def _misfit(key: str, value: Any, wanted: _Wanted, error: ValidationError, where: str) -> Problem:
    shown = repr(str(value)) if isinstance(value, Written) else reprlib.repr(value)
    reasons = "; ".join(dict.fromkeys(detail["msg"] for detail in error.errors()))
    return Problem(f"{shown} does not fit {wanted.name}, the type of {key}: {reasons}.", where)
