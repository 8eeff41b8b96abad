"""Checks that need the flows: parameters, tasks, and the types between steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect import Flow

from lume_services.errors import choose_from
from lume_services.flows.checks.findings import Findings
from lume_services.flows.checks.types import check_types
from lume_services.flows.discover import TasksOfFlow, tasks_of
from lume_services.flows.parse import Steps
from lume_services.flows.signature import Signature, task_value
from lume_services.flows.spec import MappedParameter, StepSpec
from lume_services.values.written import Loc


def check_flows(
    steps: Steps,
    flows: Mapping[int, Flow[..., Any]],
    signatures: Mapping[int, Signature],
    findings: Findings,
) -> None:
    """Find the mappings that do not fit the flows.

    Args:
        steps: The steps by position.
        flows: The flows that were found, by the position of their step.
        signatures: Their signatures.
        findings: Takes the problems and warnings.
    """
    check = _FlowCheck(steps, flows, signatures, findings)
    for index in flows:
        for parameter, mapped in steps[index].mapped_parameters.items():
            check.mapping(index, parameter, mapped)


class _FlowCheck:
    def __init__(
        self,
        steps: Steps,
        flows: Mapping[int, Flow[..., Any]],
        signatures: Mapping[int, Signature],
        findings: Findings,
    ) -> None:
        self.steps = steps
        self.signatures = signatures
        self.findings = findings
        self.tasks = {index: tasks_of(flow) for index, flow in flows.items()}
        self.positions = {step.step: index for index, step in reversed(steps.items())}

    def mapping(self, index: int, parameter: str, mapped: MappedParameter) -> None:
        loc: Loc = ("composing_flows", index, "mapped_parameters", parameter)
        signature = self.signatures[index]
        parent = self.positions.get(mapped.parent_flow_name)
        if parameter not in signature.parameters and not signature.open:
            known = signature.parameters
            remedy = choose_from(parameter, known) if known else "It takes no parameters."
            self.findings.problem(loc, f"the flow {self.steps[index].name!r} has no such parameter.", remedy)
        if parent in self.tasks and mapped.parent_task_name:
            self.task(mapped.parent_task_name, self.steps[parent], self.tasks[parent], loc)
        given = self.given(parent, mapped) if parent in self.tasks else Any
        wanted = signature.parameters[parameter].annotation if parameter in signature.parameters else Any
        check_types(mapped, given, wanted, loc, self.findings)

    def task(self, name: str, parent: StepSpec, tasks: TasksOfFlow, loc: Loc) -> None:
        if name in tasks.tasks:
            return
        loc = (*loc, "parent_task_name")
        if tasks.complete:
            remedy = "Leave parent_task_name out to take the flow's return value."
            if tasks.tasks:
                remedy = f"{choose_from(name, tasks.tasks)} {remedy}"
            self.findings.problem(loc, f"the flow {parent.name!r} calls no task {name!r}.", remedy)
        else:
            message = f"no task {name!r} is seen in the flow {parent.name!r}."
            self.findings.warning(loc, message, choose_from(name, tasks.tasks) if tasks.tasks else None)

    def given(self, parent: int, mapped: MappedParameter) -> Any:
        """Return the type of what a step gives, as far as it is annotated."""
        if mapped.parent_task_name is None:
            return self.signatures[parent].returns
        task = self.tasks[parent].tasks.get(mapped.parent_task_name)
        return task_value(task.fn) if task else Any
