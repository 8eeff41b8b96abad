"""Flows composed to one by a YAML spec: read, checked, drawn, run."""

from lume_services.flows.events import Observer, StepEvent
from lume_services.flows.flow_of_flows import FlowOfFlows, FlowOfFlowsRun
from lume_services.flows.load import load_spec
from lume_services.flows.pictures.graph import graph_data, graph_mermaid, graph_text
from lume_services.flows.pictures.svg import graph_svg
from lume_services.flows.plan import Edge, Plan
from lume_services.flows.spec import (
    DBMappedParameter,
    FileMappedParameter,
    MappedParameter,
    RawMappedParameter,
    Spec,
    StepSpec,
)

__all__ = [  # noqa: RUF022
    "FlowOfFlows",
    "FlowOfFlowsRun",
    "StepEvent",
    "Observer",
    "Spec",
    "StepSpec",
    "MappedParameter",
    "RawMappedParameter",
    "FileMappedParameter",
    "DBMappedParameter",
    "load_spec",
    "Plan",
    "Edge",
    "graph_text",
    "graph_mermaid",
    "graph_svg",
    "graph_data",
]
