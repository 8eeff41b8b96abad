"""Checks that need the flows: parameters, tasks, and the types between steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prefect import Flow

from lume_services.errors import choose_from
from lume_services.flows.compatible import never_fits
from lume_services.flows.discover import TasksOfFlow, tasks_of
from lume_services.flows.document import Loc
from lume_services.flows.findings import Findings
from lume_services.flows.parse import Steps
from lume_services.flows.signature import Signature, type_hints, type_name
from lume_services.flows.spec import MappedParameter, StepSpec


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
        first = mapped.attribute_index[0] if mapped.attribute_index else None
        if mapped.map_type == "db" and isinstance(first, str):
            self.result_field(first, (*loc, "attribute_index"))
        if parent not in self.tasks:
            return
        if mapped.parent_task_name:
            self.task(mapped.parent_task_name, self.steps[parent], self.tasks[parent], loc)
        if parameter in signature.parameters:
            self.types(parent, mapped, signature.parameters[parameter].annotation, loc)

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

    def result_field(self, name: str, loc: Loc) -> None:
        fields = set(_result_fields())
        if name not in fields:
            self.findings.problem(loc, f"a stored result has no {name!r}.", choose_from(name, fields))

    def types(self, parent: int, mapped: MappedParameter, wanted: Any, loc: Loc) -> None:
        given = self.given_type(parent, mapped)
        # A task that runs more than once hands over a list.
        if not never_fits(given, wanted) or (mapped.parent_task_name and not never_fits(list, wanted)):
            return
        task = mapped.parent_task_name
        what = f"the result of the task {task!r}" if task else "the return value"
        if mapped.map_type != "raw":
            what = f"the reference to the {'file' if mapped.map_type == 'file' else 'result'}"
        message = (
            f"{what} of {mapped.parent_flow_name!r} is {type_name(given)}, which never fits "
            f"the parameter's {type_name(wanted)}."
        )
        self.findings.problem(loc, message, "Map another value, or change one of the two annotations.")

    def given_type(self, parent: int, mapped: MappedParameter) -> Any:
        """Return the type of what a step hands over, as far as it is annotated."""
        if mapped.attribute_index:
            return Any
        if mapped.map_type != "raw":
            return dict
        if mapped.parent_task_name is None:
            return self.signatures[parent].returns
        task = self.tasks[parent].tasks.get(mapped.parent_task_name)
        return type_hints(task.fn).get("return", Any) if task else Any


def _result_fields() -> Iterator[str]:
    from lume_services.results import Result

    waiting: list[Any] = [Result]
    while waiting:
        model = waiting.pop()
        yield from model.model_fields
        waiting += model.__subclasses__()
