"""Checks that need the spec alone: names, parents, order, and what is mapped how."""

from __future__ import annotations

from collections.abc import Iterator

from lume_services.errors import choose_from
from lume_services.flows.checks.findings import Findings
from lume_services.flows.parse import Steps
from lume_services.flows.spec import MappedParameter, StepSpec
from lume_services.values.written import Loc


def check_graph(steps: Steps, findings: Findings) -> None:
    """Find what is wrong between the steps of a spec.

    Args:
        steps: The steps whose form is right.
        findings: Takes the problems.
    """
    _GraphCheck(steps, findings).run()


class _GraphCheck:
    def __init__(self, steps: Steps, findings: Findings) -> None:
        self.steps = steps
        self.findings = findings
        self.positions: dict[str, int] = {}
        self.cycles: set[frozenset[int]] = set()

    def run(self) -> None:
        for index, name in enumerate(self.findings.document.step_names()):
            first = self.positions.setdefault(name, index)
            if first != index and index in self.steps:
                self.duplicate(name, first, index)
        for index, step in self.steps.items():
            self.alias(index, step)
            for parameter, mapped in step.mapped_parameters.items():
                loc: Loc = ("composing_flows", index, "mapped_parameters", parameter)
                if parameter in step.parameters:
                    message = "the parameter is mapped and has a value under parameters."
                    self.findings.problem(loc, message, "Remove one of the two.")
                self.parent(index, mapped, loc)
                self.attribute_index(mapped, (*loc, "attribute_index"))

    def duplicate(self, name: str, first: int, index: int) -> None:
        key = "alias" if self.steps[index].alias else "name"
        message = f"the step {name!r} is already defined{self.on_line(first)}."
        remedy = f"Give this one an alias of its own, as `alias: {name}_{index + 1}`."
        self.findings.problem(("composing_flows", index, key), message, remedy)

    def alias(self, index: int, step: StepSpec) -> None:
        """Warn of an alias that is the name of another step's flow: a reader may take one for the other."""
        hidden = [other.step for other in self.steps.values() if other.name == step.alias != other.step]
        if hidden:
            message = (
                f"the alias {step.alias!r} hides the flow of this name, which runs as: {', '.join(hidden)}."
            )
            self.findings.warning(("composing_flows", index, "alias"), message, "Choose another alias.")

    def parent(self, index: int, mapped: MappedParameter, loc: Loc) -> None:
        parent = self.positions.get(mapped.parent_flow_name)
        name_loc = (*loc, "parent_flow_name")
        if parent is None:
            self.unknown_parent(mapped.parent_flow_name, name_loc)
        elif parent >= index:
            self.wrong_order(index, parent, name_loc)
        elif parent in self.steps:
            stated, actual = mapped.parent_project_name, self.steps[parent].project_name
            if stated and actual and stated != actual:
                message = (
                    f"the step {mapped.parent_flow_name!r} is in the project {actual!r}, not {stated!r}."
                )
                self.findings.warning((*loc, "parent_project_name"), message, "Correct one of the two.")

    def unknown_parent(self, name: str, loc: Loc) -> None:
        aliases = [step.step for step in self.steps.values() if step.name == name]
        remedy = choose_from(name, self.positions)
        if aliases:
            remedy = f"The flow {name!r} runs as: {', '.join(aliases)}. Write one of these."
        self.findings.problem(loc, f"there is no step {name!r}.", remedy)

    def wrong_order(self, index: int, parent: int, loc: Loc) -> None:
        way = self.way_back(parent, index)
        if way is None:
            later = self.findings.document.step_name(parent)
            message = f"the step {later!r} is defined later{self.on_line(parent)}."
            remedy = "Move it up: a step stands below the steps that it takes values from."
            self.findings.problem(loc, message, remedy)
        elif frozenset(way) not in self.cycles:
            self.cycles.add(frozenset(way))
            circle = " -> ".join(self.findings.document.step_name(step) for step in [*way, index])
            message = f"the steps wait for each other: {circle}."
            self.findings.problem(loc, message, "Take one of these mappings out.")

    def way_back(self, start: int, goal: int) -> list[int] | None:
        """Return the steps from `goal` to `start` in the direction of the values, or None."""
        came_from: dict[int, int | None] = {start: None}
        waiting = [start]
        while waiting and goal not in came_from:
            step = waiting.pop(0)
            for parent in self.parents(step):
                if parent not in came_from:
                    came_from[parent] = step
                    waiting.append(parent)
        if goal not in came_from:
            return None
        way = [goal]
        while (following := came_from[way[-1]]) is not None:
            way.append(following)
        return way

    def parents(self, index: int) -> Iterator[int]:
        if index in self.steps:
            for mapped in self.steps[index].mapped_parameters.values():
                if mapped.parent_flow_name in self.positions:
                    yield self.positions[mapped.parent_flow_name]

    def attribute_index(self, mapped: MappedParameter, loc: Loc) -> None:
        if mapped.attribute_index is None:
            return
        first = mapped.attribute_index[0]
        if mapped.map_type == "file":
            message = "attribute_index does not go with map_type file: the step gets the whole reference."
            self.findings.problem(loc, message, "Remove attribute_index, and load the file in the step.")
        elif mapped.map_type == "db" and not isinstance(first, str):
            message = f"the attribute_index of a stored result cannot begin with {first!r}."
            self.findings.problem(loc, message, "Begin with a field of the result, as [outputs, y].")

    def on_line(self, index: int) -> str:
        line = self.findings.document.place(("composing_flows", index)).line
        return f" on line {line}" if line else ""
