"""A plan as text, as a Mermaid diagram, and as plain data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lume_services.flows.plan import Edge, Plan


def graph_text(plan: Plan) -> str:
    """Return the graph as lines of text: each step, and below it where its parameters come from.

    Steps of one number do not wait for each other.
    """
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield f"{plan.name}: {_count(len(plan.steps), 'step')}, {_count(len(plan.edges), 'mapped parameter')}"
    width = len(str(len(plan.generations)))
    for number, generation in enumerate(plan.generations, 1):
        for step in generation:
            yield f"{number:>{width}}  {_label(plan, step)}"
            edges = plan.into(step)
            longest = max((len(edge.parameter) for edge in edges), default=0)
            for edge in edges:
                yield f"{'':{width}}    {edge.parameter:<{longest}} <- {_origin(edge)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _origin(edge: Edge) -> str:
    task = f", task {edge.task}" if edge.task else ""
    index = "".join(f"[{key!r}]" for key in edge.attribute_index)
    return f"{edge.parent}{task}{f', {index}' if index else ''} ({edge.map_type})"


def graph_mermaid(plan: Plan) -> str:
    """Return the graph as a Mermaid flowchart."""
    names = {step: f"s{number}" for number, step in enumerate(plan.steps)}
    boxes = [f'    {name}["{_escaped(_label(plan, step))}"]' for step, name in names.items()]
    arrows = [
        f'    {names[edge.parent]} -->|"{_escaped(edge.parameter)}"| {names[edge.child]}'
        for edge in plan.edges
    ]
    return "\n".join(["flowchart LR", *boxes, *arrows]) + "\n"


def _label(plan: Plan, step: str) -> str:
    flow = plan.steps[step].name
    return step if flow == step else f"{step} (flow {flow})"


def _escaped(text: str) -> str:
    """Write what could end a Mermaid label, or begin something in it, as the number of the character."""
    return re.sub(r"[^\w .-]", lambda found: f"#{ord(found[0])};", text)


def graph_data(plan: Plan) -> dict[str, Any]:
    """Return the graph as plain data, for JSON."""
    return {
        "name": plan.name,
        "steps": [
            {"step": step, "flow": plan.steps[step].name, "generation": number}
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
