"""The graph with how the steps of a run stand."""

import json
from xml.etree import ElementTree as ET

import pytest
from prefect import flow
from typer.testing import CliRunner

from lume_services.cli.app import app
from lume_services.errors import StepFailedError
from lume_services.flows import FlowOfFlows, graph_svg
from lume_services.flows.runs.records import RunRecords
from lume_services.flows.runs.status import status_of

SVG = "{http://www.w3.org/2000/svg}"


@flow
def good(x: int = 1) -> int:
    return x


@flow
def bad(x: int) -> int:
    raise ValueError("no beam")


@pytest.fixture
def composed(lume_context) -> FlowOfFlows:
    """A flow-of-flows of which one step has completed, one has failed, and one has not run."""
    chain = {"mapped_parameters": {"x": {"parent_flow_name": "bad"}}}
    spec = {
        "name": "broken",
        "composing_flows": [
            {"name": "good"},
            {"name": "bad", "mapped_parameters": {"x": {"parent_flow_name": "good"}}},
            {"name": "good", "alias": "after", **chain},
        ],
    }
    composed = FlowOfFlows.from_yaml(spec, [good, bad])
    with pytest.raises(StepFailedError):
        composed.run()
    return composed


def call(*arguments):
    return CliRunner().invoke(app, ["graph", "--run", "latest", *arguments])


def test_text(composed):
    lines = call().stdout.splitlines()
    assert lines[1].startswith("1  good: completed ")
    assert lines[2].startswith("2  bad: failed ")
    assert "3  after (flow good): waiting" in lines


def test_json(composed):
    steps = {step["step"]: step for step in json.loads(call("--json").stdout)["steps"]}
    assert {name: step["state"] for name, step in steps.items()} == {
        "good": "completed",
        "bad": "failed",
        "after": "waiting",
    }
    assert "no beam" in steps["bad"]["error"]
    assert steps["good"]["seconds"] > 0


def test_mermaid(composed):
    drawn = call("--mermaid").stdout
    assert "class s0 completed" in drawn
    assert "class s1 failed" in drawn
    assert "class s2 waiting" in drawn


def test_svg(composed):
    records = RunRecords()
    root = ET.fromstring(graph_svg(composed.plan, status_of(records.run("latest"), records)))
    boxes = {group.find(f"{SVG}title").text: group.find(f"{SVG}rect") for group in root.iter(f"{SVG}g")}
    assert {title.partition(":")[0]: box.get("class") for title, box in boxes.items()} == {
        "good": "box completed",
        "bad": "box failed",
        "after": "box waiting",
    }
    assert any("no beam" in title for title in boxes)


def test_neither_spec_nor_run():
    result = CliRunner().invoke(app, ["graph"])
    assert result.exit_code == 2
    assert "Give a SPEC, or --run" in result.stderr
