"""A plan as text, as a Mermaid diagram, and as plain data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from lume_services.flows.plan import Edge, Plan
from lume_services.flows.runs.status import StepStatus
from lume_services.values.visible import visible

Status: TypeAlias = Mapping[str, StepStatus]

# Readable with the dark text that a flowchart has.
_COLOURS = {
    "completed": "fill:#cfe8d5,stroke:#2e7d46",
    "failed": "fill:#f6cfcb,stroke:#b3261e",
    "waiting": "fill:#eef2f6,stroke:#5b6b7c,stroke-dasharray:4 3",
}


def graph_text(plan: Plan, status: Status | None = None) -> str:
    """Return the graph as lines of text: each step, and below it where its parameters come from.

    Steps of one number do not wait for each other.

    Args:
        plan: The graph.
        status: How the steps of a run stand; without it there was none.
    """
    return "\n".join(_lines(plan, status)) + "\n"


def _lines(plan: Plan, status: Status | None) -> Iterator[str]:
    counts = f"{_count(len(plan.steps), 'step')}, {_count(len(plan.edges), 'mapped parameter')}"
    yield f"{visible(plan.name)}: {counts}"
    width = len(str(len(plan.generations)))
    for number, generation in enumerate(plan.generations, 1):
        for step in generation:
            state = f": {status.get(step, StepStatus())}" if status is not None else ""
            yield f"{number:>{width}}  {_label(plan, step)}{state}"
            edges = plan.into(step)
            parameters = [visible(edge.parameter) for edge in edges]
            longest = max(map(len, parameters), default=0)
            for edge, parameter in zip(edges, parameters, strict=True):
                yield f"{'':{width}}    {parameter:<{longest}} <- {_origin(edge)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _origin(edge: Edge) -> str:
    task = f", task {edge.task}" if edge.task else ""
    index = "".join(f"[{key!r}]" for key in edge.attribute_index)
    return visible(f"{edge.parent}{task}{f', {index}' if index else ''} ({edge.map_type})")


def graph_mermaid(plan: Plan, status: Status | None = None) -> str:
    """Return the graph as a Mermaid flowchart, with how the steps of a run stand, as `graph_text`."""
    names = {step: f"s{number}" for number, step in enumerate(plan.steps)}
    boxes = [f'    {name}["{_escaped(_label(plan, step))}"]' for step, name in names.items()]
    arrows = [
        f'    {names[edge.parent]} -->|"{_escaped(edge.parameter)}"| {names[edge.child]}'
        for edge in plan.edges
    ]
    return "\n".join(["flowchart LR", *boxes, *arrows, *_classes(names, status)]) + "\n"


def _classes(names: Mapping[str, str], status: Status | None) -> Iterator[str]:
    """Yield what gives the boxes of a flowchart the colours of their states."""
    if status is None:
        return
    for state, colours in _COLOURS.items():
        boxes = [name for step, name in names.items() if status.get(step, StepStatus()).state == state]
        if boxes:
            yield f"    classDef {state} {colours}"
            yield f"    class {','.join(boxes)} {state}"


def _label(plan: Plan, step: str) -> str:
    flow = plan.steps[step].name
    return visible(step if flow == step else f"{step} (flow {flow})")


def _escaped(text: str) -> str:
    """Write what could end a Mermaid label, or begin something in it, as the number of the character."""
    return re.sub(r"[^\w .-]", lambda found: f"#{ord(found[0])};", visible(text))


def graph_data(plan: Plan, status: Status | None = None) -> dict[str, Any]:
    """Return the graph as plain data, for JSON, with how the steps of a run stand, as `graph_text`."""
    states = {} if status is None else {step: vars(status.get(step, StepStatus())) for step in plan.steps}
    return {
        "name": plan.name,
        "steps": [
            {"step": step, "flow": plan.steps[step].name, "generation": number, **states.get(step, {})}
            for number, generation in enumerate(plan.generations)
            for step in generation
        ],
        "edges": [
            {
                "parent": edge.parent,
                "child": edge.child,
                "parameter": edge.parameter,
                "task": edge.task,
                "map_type": edge.map_type,
                "attribute_index": list(edge.attribute_index),
            }
            for edge in plan.edges
        ],
    }
