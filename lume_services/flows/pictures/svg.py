"""A plan as an SVG picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as ET

from lume_services.flows.pictures.layout import HEAD, LONGEST_TEXT, Layout, Node, Wire, lay_out
from lume_services.flows.plan import Plan
from lume_services.flows.runs.status import StepStatus
from lume_services.values.visible import visible

# The colours are readable on a white and on a dark page.
STYLE = """
text { font-family: "DejaVu Sans", Verdana, sans-serif; font-size: 12px; }
.box { fill: #eef2f6; stroke: #5b6b7c; stroke-width: 1.2; }
.completed { fill: #cfe8d5; stroke: #2e7d46; }
.failed { fill: #f6cfcb; stroke: #b3261e; }
.waiting { stroke-dasharray: 4 3; }
.step { fill: #16202b; text-anchor: middle; font-weight: 600; }
.flow { fill: #526170; text-anchor: middle; font-size: 10.5px; }
.wire { fill: none; stroke: #7b8b9c; stroke-width: 1.4; }
.head { fill: #7b8b9c; }
.parameter { fill: #6f8193; text-anchor: end; font-size: 10.5px; }
"""


def graph_svg(plan: Plan, status: Mapping[str, StepStatus] | None = None) -> str:
    """Return the graph as an SVG document.

    Steps stand in columns from left to right: a step stands to the right of all steps that it waits
    for. An arrow carries the name of the parameter that it feeds.

    Args:
        plan: The graph.
        status: How the steps of a run stand, which gives the boxes their colours; without it there was none.
    """
    states = {} if status is None else {step: status.get(step, StepStatus()) for step in plan.steps}
    labels = {
        step: _label(step, str(states.get(step, spec.name if spec.name != step else "")))
        for step, spec in plan.steps.items()
    }
    layout = lay_out(plan, labels)
    root = _root(plan, layout)
    for wire in layout.wires:
        root.append(_wire(wire))
    for wire in layout.wires:
        root.append(_parameter(wire))
    for step, box in layout.boxes.items():
        root.append(_box(step, labels[step], box, states.get(step)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _root(plan: Plan, layout: Layout) -> ET.Element:
    width, height = f"{layout.width:.0f}", f"{layout.height:.0f}"
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": width,
            "height": height,
            "viewBox": f"0 0 {width} {height}",
            "role": "img",
        },
    )
    ET.SubElement(root, "title").text = visible(plan.name)
    ET.SubElement(root, "style").text = STYLE
    size = {"markerWidth": "7", "markerHeight": "7"}
    head = {"id": "head", "viewBox": "0 0 8 8", "refX": "7", "refY": "4", "orient": "auto", **size}
    marker = ET.SubElement(ET.SubElement(root, "defs"), "marker", head)
    ET.SubElement(marker, "path", {"class": "head", "d": "M0 0 L8 4 L0 8 z"})
    return root


def _label(step: str, below: str) -> Sequence[str]:
    lines = [step, below] if below else [step]
    return [_shortened(visible(line)) for line in lines]


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}\u2026"


def _box(step: str, lines: Sequence[str], box: Node, status: StepStatus | None) -> ET.Element:
    group = ET.Element("g")
    error = f": {status.error}" if status and status.error else ""
    ET.SubElement(group, "title").text = visible(f"{step}{error}")
    top = box.y - box.height / 2
    place = {"x": f"{box.x:.1f}", "y": f"{top:.1f}", "rx": "6"}
    size = {"width": f"{box.width:.1f}", "height": f"{box.height:.1f}"}
    ET.SubElement(group, "rect", {"class": f"box {status.state}" if status else "box", **place, **size})
    middle = f"{box.x + box.width / 2:.1f}"
    baselines = [box.y + 4] if len(lines) == 1 else [box.y - 3, box.y + 13]
    for line, kind, baseline in zip(lines, ("step", "flow"), baselines, strict=False):
        ET.SubElement(group, "text", {"class": kind, "x": middle, "y": f"{baseline:.1f}"}).text = line
    return group


def _wire(wire: Wire) -> ET.Element:
    (x, y), *others = wire.points
    way = [f"M{x:.1f} {y:.1f}"]
    for next_x, next_y in others:
        bend = (x + next_x) / 2
        way.append(f"C{bend:.1f} {y:.1f} {bend:.1f} {next_y:.1f} {next_x:.1f} {next_y:.1f}")
        x, y = next_x, next_y
    return ET.Element("path", {"class": "wire", "d": " ".join(way), "marker-end": "url(#head)"})


def _parameter(wire: Wire) -> ET.Element:
    x, y = wire.points[-1]
    text = ET.Element("text", {"class": "parameter", "x": f"{x - HEAD:.1f}", "y": f"{y - 4:.1f}"})
    text.text = _shortened(visible(wire.edge.parameter))
    return text
