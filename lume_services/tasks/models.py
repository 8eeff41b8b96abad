"""Run a lume-base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from lume_services.errors import Problem, ProblemsError, choose_from
from lume_services.results import Result

if TYPE_CHECKING:
    from lume.model import LUMEModel


class ModelValuesError(ProblemsError, ValueError):
    """Values or outputs do not fit the model's variables."""


@task(cache_policy=NO_CACHE)
def run_lume_model(
    model: LUMEModel,
    values: Mapping[str, Any],
    outputs: Sequence[str] | None = None,
    *,
    project_name: str | None = None,
) -> dict[str, Any]:
    """Set a model's variables, which runs it, and return its outputs.

    Args:
        model: Any lume-base `LUMEModel`.
        values: Value by variable name.
        outputs: Names of the variables to return; default: all that are read-only.
        project_name: Store a `Result` of values and outputs in this project; default: store none.

    Returns:
        Value by output name.

    Raises:
        ModelValuesError: Unknown variables, read-only ones, or values that do not fit; all at once.
    """
    variables = model.supported_variables
    names = list(outputs) if outputs is not None else [n for n, v in variables.items() if v.read_only]
    if problems := [*_value_problems(variables, values), *_output_problems(variables, names)]:
        raise ModelValuesError(f"{type(model).__name__} cannot run", problems)
    model.set(dict(values))
    found = dict(model.get(names))
    if project_name is not None:
        Result(project_name=project_name, inputs=dict(values), outputs=found).insert()
    return found


def _value_problems(variables: Mapping[str, Any], values: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for name, value in values.items():
        where = f"variable {name!r}"
        if name not in variables:
            writable = [known for known, variable in variables.items() if not variable.read_only]
            problems.append(Problem("the model has no such variable.", where, choose_from(name, writable)))
        elif variables[name].read_only:
            problems.append(Problem("is read-only.", where, "Ask for it as an output instead."))
        else:
            try:
                variables[name].validate_value(value)
            except (ValueError, TypeError) as error:
                problems.append(Problem(str(error), where))
    return problems


def _output_problems(variables: Mapping[str, Any], names: Sequence[str]) -> list[Problem]:
    return [
        Problem("the model has no such variable.", f"output {name!r}", choose_from(name, variables))
        for name in names
        if name not in variables
    ]
