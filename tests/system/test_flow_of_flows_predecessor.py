"""The predecessor's spec runs as it stands, wherever its flows come from."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from lume_services.flows import FlowOfFlows
from lume_services.results import Result

FOLDER = Path(__file__).parent
SPEC = FOLDER / "flow_of_flows.yaml"
FLOWS = "flows_of_the_predecessor"


@pytest.fixture
def flows(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import flows_of_the_predecessor as module

    yield [module.flow1, module.flow2, module.flow3]
    del sys.modules[FLOWS]


def run(flow_of_flows, text2="hey you"):
    return flow_of_flows.run(
        {"flow1": {"text1": "hey", "text2": " you", "filename": "text.txt"}, "flow3": {"text2": text2}}
    )


def test_with_the_flows_at_hand(lume_context, flows):
    flow_of_flows = FlowOfFlows.from_yaml(SPEC, flows=flows)
    assert flow_of_flows.warnings == ()
    assert run(flow_of_flows).results == {"flow1": None, "flow2": None, "flow3": True}
    (stored,) = Result.find("test")
    assert (stored.inputs, stored.outputs) == ({"input1": "hey you"}, {"output1": "hey you"})
    assert run(flow_of_flows, text2="hey").results["flow3"] is False


def test_as_a_dict(lume_context, flows):
    spec = yaml.safe_load(SPEC.read_text())
    assert run(FlowOfFlows.from_yaml(spec, flows=flows)).results["flow3"] is True


def test_with_the_flows_of_an_installed_package(lume_context, flows, tmp_path, monkeypatch):
    package = tmp_path / "demo-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    points = "\n".join(f"{flow.name} = {FLOWS}:{flow.name}" for flow in flows)
    (package / "entry_points.txt").write_text(f"[lume_services.flows]\n{points}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run(FlowOfFlows.from_yaml(SPEC)).results["flow3"] is True


def test_with_entrypoints(lume_context, tmp_path):
    spec = yaml.safe_load(SPEC.read_text())
    for step in spec["composing_flows"]:
        step["entrypoint"] = f"{FLOWS}:{step['name']}"
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    shutil.copy(FOLDER / f"{FLOWS}.py", tmp_path)
    assert run(FlowOfFlows.from_yaml(tmp_path / "spec.yaml")).results["flow3"] is True
    del sys.modules[FLOWS]
