"""What waits for what: the steps of a spec as a graph, known without importing any flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter

from lume_services.flows.spec import MapType, Spec, StepSpec


@dataclass(frozen=True)
class Edge:
    """One value that goes from one step to another.

    Attributes:
        parent: The step that gives it.
        child: The step that takes it.
        parameter: The child's parameter.
        task: The parent's task whose result it is, or None for the return value.
        map_type: What is handed over.
        attribute_index: The way to the part that is handed over; empty for the whole.
    """

    parent: str
    child: str
    parameter: str
    task: str | None
    map_type: MapType
    attribute_index: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The graph of a spec.

    Attributes:
        name: The name of the spec.
        steps: The steps by name, in the order of the spec.
        edges: The values that go between them, in the order of the spec.
    """

    name: str
    steps: Mapping[str, StepSpec]
    edges: Sequence[Edge]

    @classmethod
    def from_spec(cls, spec: Spec) -> Plan:
        """Build the graph of a spec whose parents exist and which has no cycle."""
        steps = {step.step: step for step in spec.composing_flows}
        edges = [
            Edge(
                parent=mapped.parent_flow_name,
                child=name,
                parameter=parameter,
                task=mapped.parent_task_name,
                map_type=mapped.map_type,
                attribute_index=tuple(mapped.attribute_index or ()),
            )
            for name, step in steps.items()
            for parameter, mapped in step.mapped_parameters.items()
        ]
        return cls(spec.name, steps, tuple(edges))

    @cached_property
    def parents(self) -> Mapping[str, frozenset[str]]:
        """The steps that each step takes values from."""
        return {step: frozenset(edge.parent for edge in self.into(step)) for step in self.steps}

    @cached_property
    def generations(self) -> tuple[tuple[str, ...], ...]:
        """The steps in groups: a step stands in the first group after all of its parents."""
        depth: dict[str, int] = {}
        for step in TopologicalSorter(self.parents).static_order():
            depth[step] = 1 + max((depth[parent] for parent in self.parents[step]), default=-1)
        count = 1 + max(depth.values())
        return tuple(tuple(step for step in self.steps if depth[step] == group) for group in range(count))

    def into(self, step: str) -> tuple[Edge, ...]:
        """Return the values that a step takes."""
        return tuple(edge for edge in self.edges if edge.child == step)

    @cached_property
    def upstream(self) -> Mapping[str, frozenset[str]]:
        """Every step that each step depends on, directly or through others."""
        found: dict[str, frozenset[str]] = {}
        for step in TopologicalSorter(self.parents).static_order():
            direct = self.parents[step]
            found[step] = direct.union(*(found[parent] for parent in direct))
        return found

    @cached_property
    def downstream(self) -> Mapping[str, frozenset[str]]:
        """Every step that depends on each step, directly or through others."""
        return {
            step: frozenset(other for other in self.steps if step in self.upstream[other])
            for step in self.steps
        }
