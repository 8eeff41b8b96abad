"""What must be given for a run: one typed group of parameters per step."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from lume_services.errors import choose_from
from lume_services.flows.checks.annotations import takes_decimals, type_name
from lume_services.flows.checks.findings import Findings
from lume_services.flows.parse import Steps
from lume_services.flows.signature import Signature
from lume_services.flows.spec import StepSpec
from lume_services.values.written import Loc


def input_group(step: StepSpec, signature: Signature) -> type[BaseModel]:
    """Return the form of a step: its parameters that no other step gives.

    A value in the spec is the default of its parameter. The names of the parameters are the aliases
    of the fields, because a parameter may have a name that a pydantic model cannot.
    """
    fields: dict[str, Any] = {}
    for number, (name, parameter) in enumerate(signature.parameters.items()):
        if name in step.mapped_parameters:
            continue
        default = step.parameters.get(name, ... if parameter.required else parameter.default)
        fields[f"p{number}"] = (parameter.annotation, Field(default=default, alias=name, title=name))
    config = ConfigDict(arbitrary_types_allowed=True, extra="allow" if signature.open else "forbid")
    return create_model(step.step, __config__=config, **fields)


def group_values(step: StepSpec, group: BaseModel) -> dict[str, Any]:
    """Return the values of a step by the names of its parameters, without what the flow's defaults give."""
    fields = type(group).model_fields
    given = {
        fields[name].alias or name: getattr(group, name) for name in group.model_fields_set & fields.keys()
    }
    return {**step.parameters, **given, **(group.model_extra or {})}


def check_values(
    steps: Steps, signatures: Mapping[int, Signature], given: Mapping[str, Any] | None, findings: Findings
) -> None:
    """Check the values of parameters: those in the spec, and those given for a run.

    Args:
        steps: The steps by position.
        signatures: The signatures of the flows that were found, by the position of their step.
        given: Values for a run, by step and parameter. None: there is no run yet, so one may be missing.
        findings: Takes the problems.
    """
    known = findings.document.step_names()
    for name, values in (given or {}).items():
        if name not in known:
            message = f"values are given for {name!r}, but there is no such step."
            findings.problem((), message, choose_from(name, known))
        elif not isinstance(values, Mapping):
            message = f"the values of a step must be a dict by parameter, not {values!r}."
            findings.problem(("composing_flows", known.index(name)), message)
    for index, step in steps.items():
        values = (given or {}).get(step.step, {})
        if index in signatures and isinstance(values, Mapping):
            _StepValues(step, index, signatures[index], findings).check(values, given is not None)


class _StepValues:
    def __init__(self, step: StepSpec, index: int, signature: Signature, findings: Findings) -> None:
        self.step = step
        self.loc: Loc = ("composing_flows", index)
        self.signature = signature
        self.findings = findings

    def check(self, given: Mapping[str, Any], must_be_whole: bool) -> None:
        mapped = self.step.mapped_parameters
        for name in given:
            if name in mapped:
                message = (
                    f"a value is given, but the step {mapped[name].parent_flow_name!r} gives this parameter."
                )
                self.problem(name, message, "Leave the value out, or take the mapping out of the spec.")
        values = {str(name): value for name, value in {**self.step.parameters, **given}.items()}
        free = {name: value for name, value in values.items() if name not in mapped}
        for name, value in free.items():
            if name in self.signature.parameters:
                self.fit(name, value)
                if name not in given:
                    self.digits(name)
            elif not self.signature.open:
                self.unknown(name)
        for name, parameter in self.signature.parameters.items() if must_be_whole else ():
            if parameter.required and name not in {*mapped, *free} and name not in self.mentioned():
                self.missing(name)

    def fit(self, name: str, value: Any) -> None:
        alone = replace(self.signature, parameters={name: self.signature.parameters[name]})
        try:
            input_group(self.step, alone).model_validate({name: value})
        except ValidationError as error:
            self.does_not_fit(name, value, error.errors())
        except Exception as error:  # noqa: BLE001 - the user's validators may raise anything
            message = f"the value cannot be checked, as a validator raised {type(error).__name__}: {error}."
            self.problem(name, message, "Give another value, or correct the validator.")

    def digits(self, name: str) -> None:
        """Look whether a decimal number in the spec has lost digits, as it was read as a float."""
        loc = (*self.loc, "parameters", name)
        lost = [text for where, text in self.findings.document.digits.items() if where[: len(loc)] == loc]
        if lost and takes_decimals(self.signature.parameters[name].annotation):
            message = f"{lost[0]} has more digits than a number here keeps, and a decimal number is wanted."
            self.problem(name, message, "Write it in quotes.")

    def unknown(self, name: str) -> None:
        unmapped = self.signature.parameters.keys() - self.step.mapped_parameters.keys()
        remedy = choose_from(name, unmapped) if unmapped else "No parameter of it is left to give."
        self.problem(name, f"the flow {self.step.name!r} has no such parameter.", remedy)

    def does_not_fit(self, name: str, value: Any, details: Sequence[ErrorDetails]) -> None:
        parameter = self.signature.parameters[name]
        expected = type_name(parameter.annotation)
        shown = "the value" if parameter.secret else reprlib.repr(value)
        reasons = "; ".join(dict.fromkeys(map(_reason, details)))
        self.problem(name, f"{shown} does not fit {expected}: {reasons}.", None)

    def missing(self, name: str) -> None:
        message = f"the parameter {name!r} of the flow {self.step.name!r} has no value."
        remedy = (
            f"Give it for a run, as --set {self.step.step}.{name}=VALUE, or write it under parameters, "
            "or map it from another step."
        )
        self.findings.problem(self.loc, message, remedy)

    def problem(self, name: str, message: str, remedy: str | None) -> None:
        self.findings.problem((*self.loc, "parameters", name), message, remedy)

    def mentioned(self) -> set[str]:
        """Return the names in parts of the step whose form is wrong: a value was meant to be there."""
        written = self.findings.document.data["composing_flows"][self.loc[1]]
        return {name for key, part in written.items() if key != "run_config" for name in _names_in(part)}


def _reason(detail: ErrorDetails) -> str:
    """Say what is wrong, and where in the value: `beam.charge: Field required`."""
    where = ".".join(map(str, detail["loc"][1:]))
    return f"{where}: {detail['msg']}" if where else detail["msg"]


def _names_in(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        yield from part
    elif isinstance(part, list | tuple):
        for item in part:
            yield from [item] if isinstance(item, str) else _names_in(item)
