"""Pictures of a graph."""

import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lume_services.flows import Plan, graph_data, graph_mermaid, graph_svg, graph_text, load_spec

SVG = "{http://www.w3.org/2000/svg}"
SCAN = """\
name: quad_scan
composing_flows:
  - name: beam
    entrypoint: no_such_module:beam
  - name: track
    mapped_parameters:
      particles: {parent_flow_name: beam, parent_task_name: save_beam, map_type: file}
  - name: fit_twiss
    alias: fit
    mapped_parameters:
      sizes:
        parent_flow_name: track
        parent_task_name: save_sizes
        map_type: db
        attribute_index: [outputs, 0]
      particles: {parent_flow_name: beam}
"""


def plan_of(spec):
    return Plan.from_spec(load_spec(spec))


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(SCAN)
    return plan_of(path)


def many(count):
    """Return a graph of layers of four, each step fed by three of the layer before and one further up."""
    steps = []
    for number in range(count):
        first = number - number % 4
        parents = [parent for parent in (first - 4, first - 3, first - 1, first - 9) if parent >= 0]
        mapped = {f"input_{parent}": {"parent_flow_name": f"step_{parent}"} for parent in parents}
        steps.append({"name": "simulate", "alias": f"step_{number}", "mapped_parameters": mapped})
    return plan_of({"name": "many", "composing_flows": steps})


def test_text(scan):
    assert graph_text(scan) == (
        "quad_scan: 3 steps, 3 mapped parameters\n"
        "1  beam\n"
        "2  track\n"
        "     particles <- beam, task save_beam (file)\n"
        "3  fit (flow fit_twiss)\n"
        "     sizes     <- track, task save_sizes, ['outputs'][0] (db)\n"
        "     particles <- beam (raw)\n"
    )


def test_text_of_one_step():
    assert graph_text(plan_of({"name": "a", "composing_flows": [{"name": "b"}]})) == (
        "a: 1 step, 0 mapped parameters\n1  b\n"
    )


def test_mermaid(scan):
    assert graph_mermaid(scan) == (
        "flowchart LR\n"
        '    s0["beam"]\n'
        '    s1["track"]\n'
        '    s2["fit #40;flow fit_twiss#41;"]\n'
        '    s0 -->|"particles"| s1\n'
        '    s1 -->|"sizes"| s2\n'
        '    s0 -->|"particles"| s2\n'
    )


def test_data_can_be_written_as_json(scan):
    data = json.loads(json.dumps(graph_data(scan)))
    assert data["steps"][2] == {"step": "fit", "flow": "fit_twiss", "generation": 2}
    assert data["edges"][1] == {
        "parent": "track",
        "child": "fit",
        "parameter": "sizes",
        "task": "save_sizes",
        "map_type": "db",
        "attribute_index": ["outputs", 0],
    }


def test_names_cannot_break_out_of_a_picture():
    name = "a\"]; b{}|'\n#35;é\x01"
    steps = [{"name": name}, {"name": "c", "mapped_parameters": {'"x" -->': {"parent_flow_name": name}}}]
    plan = plan_of({"name": name, "composing_flows": steps})
    boxes, arrows = [line for line in graph_mermaid(plan).splitlines() if "s0" in line]
    assert re.fullmatch(r'    s0\["[\w .#;-]*"\]', boxes)
    assert re.fullmatch(r'    s0 -->\|"[\w .#;-]*"\| s1', arrows)
    root = ET.fromstring(graph_svg(plan))
    assert root.find(f"{SVG}title").text == "a\"]; b{}|'\\n#35;é\\x01"


def boxes_of(svg):
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect")
        yield group.find(f"{SVG}title").text, *(float(box.get(key)) for key in ("x", "y", "width", "height"))


@pytest.mark.parametrize("count", [1, 3, 12, 60])
def test_svg_boxes_do_not_overlap_and_stand_right_of_their_parents(count):
    plan = many(count)
    svg = graph_svg(plan)
    boxes = {name: place for name, *place in boxes_of(svg)}
    assert boxes.keys() == plan.steps.keys()
    for (x, y, width, height), (other_x, other_y, other_width, other_height) in combinations(
        boxes.values(), 2
    ):
        beside = x + width <= other_x or other_x + other_width <= x
        above = y + height <= other_y or other_y + other_height <= y
        assert beside or above
    for edge in plan.edges:
        x, _, width, _ = boxes[edge.parent]
        assert x + width < boxes[edge.child][0]
    root = ET.fromstring(svg)
    for x, y, width, height in boxes.values():
        assert x >= 0 <= y
        assert x + width <= float(root.get("width"))
        assert y + height <= float(root.get("height"))


def test_svg_has_an_arrow_and_a_name_for_every_mapped_parameter(scan):
    root = ET.fromstring(graph_svg(scan))
    assert len(root.findall(f"{SVG}path[@class='wire']")) == 3
    names = sorted(text.text for text in root.findall(f"{SVG}text[@class='parameter']"))
    assert names == ["particles", "particles", "sizes"]
    assert {"beam", "track", "fit", "fit_twiss"} <= {text.text for text in root.iter(f"{SVG}text")}


def test_svg_arrows_pass_beside_boxes():
    """A long arrow goes through the layers between on a lane of its own."""
    plan = many(60)
    svg = graph_svg(plan)
    boxes = [place for _, *place in boxes_of(svg)]
    for wire in ET.fromstring(svg).iter(f"{SVG}path"):
        if wire.get("class") != "wire":
            continue
        numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", wire.get("d"))]
        points = [(numbers[0], numbers[1]), *zip(numbers[6::6], numbers[7::6], strict=True)]
        for point_x, point_y in points[1:-1]:
            inside = [
                (x, y)
                for x, y, width, height in boxes
                if x < point_x < x + width and y < point_y < y + height
            ]
            assert not inside


def test_a_long_name_is_shortened_in_the_box_and_whole_in_its_title():
    name = "n" * 100
    root = ET.fromstring(graph_svg(plan_of({"name": "a", "composing_flows": [{"name": name}]})))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts == ["n" * 43 + "…"]
    assert name in [title.text for title in root.iter(f"{SVG}title")]


def test_a_graph_needs_neither_the_flows_nor_prefect(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(SCAN)
    code = (
        "import sys\n"
        "from lume_services.flows import Plan, graph_svg, graph_text, load_spec\n"
        f"plan = Plan.from_spec(load_spec({str(path)!r}))\n"
        "graph_svg(plan), graph_text(plan)\n"
        "print([name for name in ('prefect', 'numpy', 'pandas', 'h5py', 'pymongo') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path("/")
    )
    assert done.stdout == "[]\n"
