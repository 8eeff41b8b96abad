"""The Prefect flow that stands for a whole flow-of-flows."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prefect import Flow
from pydantic import BaseModel

from lume_services.flows.check import CheckedSpec
from lume_services.flows.checks.inputs import group_values, input_group

Values = Mapping[str, Mapping[str, Any]]
"""Values of parameters, by step and parameter."""

# Prefect takes these names of parameters for itself.
_RESERVED = ("return_state", "wait_for")
# Pydantic warns of names that begin so.
_PROTECTED = ("model_dump", "model_validate")


class InputForm:
    """The parameters of the whole: one typed group per step, of the parameters that no other step gives.

    Args:
        checked: The spec and its flows.
    """

    def __init__(self, checked: CheckedSpec) -> None:
        self._steps = {step.step: step for step in checked.spec.composing_flows}
        self._groups = {
            name: input_group(step, checked.signatures[name]) for name, step in self._steps.items()
        }
        self._names = _parameter_names(self._steps)

    def parameters(self, given: Values) -> dict[str, BaseModel]:
        """Return the parameters of the parent flow, from values for a run; those of the spec are added."""
        return {
            self._names[name]: self._groups[name].model_validate({**step.parameters, **given.get(name, {})})
            for name, step in self._steps.items()
        }

    def values(self, parameters: Mapping[str, Any]) -> Values:
        """Return the values of all steps, from the parameters of the parent flow."""
        return {
            name: group_values(step, self._groups[name].model_validate(parameters[self._names[name]]))
            for name, step in self._steps.items()
        }

    def signature(self) -> inspect.Signature:
        """Return the signature of the parent flow: a group may be left out where none of it is required."""
        required = {
            name: any(field.is_required() for field in group.model_fields.values())
            for name, group in self._groups.items()
        }
        parameters = [
            inspect.Parameter(
                self._names[name],
                inspect.Parameter.KEYWORD_ONLY,
                annotation=group,
                default=inspect.Parameter.empty if required[name] else {},
            )
            for name, group in self._groups.items()
        ]
        return inspect.Signature(parameters)


def parent_function(
    form: InputForm, run_steps: Callable[[Values], dict[str, Any]]
) -> Callable[..., dict[str, Any]]:
    """Return the function of the flow that runs all steps.

    Args:
        form: Its parameters.
        run_steps: Runs the steps with their values, and returns theirs.
    """

    def flow_of_flows(**parameters: Any) -> dict[str, Any]:
        return run_steps(form.values(parameters))

    flow_of_flows.__signature__ = form.signature()  # type: ignore[attr-defined]
    return flow_of_flows


def parent_flow(
    name: str, form: InputForm, run_steps: Callable[[Values], dict[str, Any]]
) -> Flow[..., dict[str, Any]]:
    """Return the flow that runs all steps, under this name."""
    return Flow(parent_function(form, run_steps), name=name)


def _parameter_names(steps: Iterable[str]) -> dict[str, str]:
    """Give every step a name that a parameter can have: `beam line` becomes `beam_line`."""
    names: dict[str, str] = {}
    for step in steps:
        name = re.sub(r"\W", "_", step)
        name = name if name[0].isalpha() and not name.startswith(_PROTECTED) else f"step_{name}"
        while (
            name in names.values() or keyword.iskeyword(name) or name in _RESERVED or hasattr(BaseModel, name)
        ):
            name += "_"
        names[step] = name
    return names
