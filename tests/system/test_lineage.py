"""Where results come from, and whether a run that is built again gives the same."""

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from typer.testing import CliRunner

from lume_services.cli.app import app
from lume_services.config import build_context, use_context
from lume_services.errors import RunNotFoundError
from lume_services.flows import FlowOfFlows
from lume_services.flows.runs.lineage import lineage, run_of
from lume_services.flows.runs.records import RunRecords
from lume_services.flows.runs.rerun import rerun
from lume_services.results import Result
from lume_services.tasks import save_db_result

FLOWS = """
    from prefect import flow
    from lume_services.files import TextFile
    from lume_services.results import Result
    from lume_services.tasks import save_db_result, save_file

    FACTOR = 2.0

    @flow
    def source(start: float = 1.0) -> float:
        return start

    @flow
    def inner(x: float) -> dict:
        return save_db_result(Result(project_name="lineage", inputs={"x": x}, outputs={"y": FACTOR * x}))

    @flow
    def model(left: float, right: float, scale: float = 1.0) -> dict:
        return inner(scale * (left + right))

    @flow
    def report(result: dict) -> dict:
        return save_file(f"{FACTOR}", filename="report.txt", file_type=TextFile)
"""
SPEC = """
    name: traced
    composing_flows:
      - {name: source, entrypoint: traced_flows:source}
      - name: source
        alias: other
        entrypoint: traced_flows:source
        parameters: {start: 5.0}
      - name: model
        entrypoint: traced_flows:model
        mapped_parameters:
          left: {parent_flow_name: source}
          right: {parent_flow_name: other}
      - name: report
        entrypoint: traced_flows:report
        mapped_parameters:
          result: {parent_flow_name: model}
"""


@pytest.fixture
def traced(tmp_path, lume_context, monkeypatch) -> Path:
    """The file of a spec, whose flows lie beside it."""
    monkeypatch.delitem(__import__("sys").modules, "traced_flows", raising=False)
    folder = tmp_path / "spec"
    folder.mkdir()
    (folder / "traced_flows.py").write_text(textwrap.dedent(FLOWS))
    (folder / "spec.yaml").write_text(textwrap.dedent(SPEC))
    return folder / "spec.yaml"


def stored(context: Any) -> dict[str, Any]:
    [record] = context.results_db_service().find_all(collection="lineage")
    return dict(record)


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


def test_a_result_of_a_subflow_leads_to_its_step_and_the_steps_before(traced, lume_context):
    run = FlowOfFlows.from_yaml(traced).run({"source": {"start": 2.0}})
    found = lineage(stored(lume_context))
    assert found.run is not None
    assert found.run.run_id == run.run_id
    assert found.run.parameters == {"source": {"start": 2.0}}
    assert found.step is not None
    assert found.step.record.step == "model"
    assert found.step.record.given == {"scale": 1.0}
    assert {name: parent.record.step for name, parent in found.step.parents.items()} == {
        "left": "source",
        "right": "other",
    }
    assert found.step.parents["right"].record.given == {"start": 5.0}


def test_it_leads_through_steps_that_were_taken_from_an_earlier_run(traced, lume_context):
    first = FlowOfFlows.from_yaml(traced).run()
    lume_context.results_db_service().delete(collection="lineage", query={})
    second = FlowOfFlows.from_yaml(traced).run(resume=first.run_id)
    found = lineage(stored(lume_context))
    assert found.run is not None
    assert found.run.run_id == second.run_id
    assert found.step is not None
    assert found.step.parents["left"].record.run_id == first.run_id


def test_the_tree_on_the_command_line(traced, lume_context):
    FlowOfFlows.from_yaml(traced).run()
    record = stored(lume_context)
    tree = call("results", "lineage", record["_id"]).stdout
    for line in (
        "step model (flow model",
        "scale = 1.0",
        "left <- step source",
        "start = 5.0",
        "spec traced",
    ):
        assert line in tree
    data = json.loads(call("results", "lineage", record["_id"], "--json").stdout)
    assert data["step"]["parents"]["right"]["given"] == {"start": 5.0}
    assert data["run"]["spec"] == "traced"


def test_a_result_of_a_flow_that_ran_by_itself(lume_context):
    @flow
    def alone() -> Any:
        return save_db_result(Result(project_name="lineage", outputs={"y": 1}))

    lume_context.scheduling_service().run_and_return(flow=alone)
    record = stored(lume_context)
    assert lineage(record).step is None
    with pytest.raises(RunNotFoundError, match="no run of a flow-of-flows"):
        run_of(record, RunRecords())
    assert "flow: alone" in call("results", "lineage", record["_id"]).stdout


def test_a_run_that_is_built_again_is_the_same(traced, lume_context):
    first = FlowOfFlows.from_yaml(traced).run({"source": {"start": 3.0}})
    shown = call("rerun", stored(lume_context)["_id"], str(traced), "--json")
    assert shown.exit_code == 0, shown.stderr
    data = json.loads(shown.stdout)
    assert (data["run_id"], data["same"]) == (first.run_id, True)
    assert data["steps"] == ["source", "other", "model", "report"]
    assert RunRecords().run(data["rerun_id"]).parameters == {"source": {"start": 3.0}}


def test_what_is_different_is_named(traced, lume_context, monkeypatch):
    first = FlowOfFlows.from_yaml(traced).run()
    flows = traced.parent / "traced_flows.py"
    flows.write_text(flows.read_text().replace("FACTOR = 2.0", "FACTOR = 2.001"))
    monkeypatch.delitem(__import__("sys").modules, "traced_flows")
    records = RunRecords()
    composed = FlowOfFlows.from_yaml(traced)
    found = rerun(records.run(first.run_id), records, composed)
    assert found.differences == (
        "model['content']['y']: 12.0 is 12.006 now",
        "report['content']: '2.0' is '2.001' now",
    )
    # The file has another content by now, so that what it was is known no more.
    [difference] = rerun(records.run(first.run_id), records, composed, rtol=1e-2).differences
    assert difference.startswith("report['content']: ")
    assert "unreadable: " in difference
    shown = call("rerun", first.run_id, "--yes")
    assert shown.exit_code == 1
    assert "model['content']['y']: 12.0 is 12.006 now" in shown.stdout


def test_runs_can_be_listed_and_deleted(traced, lume_context):
    first = FlowOfFlows.from_yaml(traced).run()
    second = FlowOfFlows.from_yaml(traced).run(resume=first.run_id)
    listed = json.loads(call("runs", "list", "--json").stdout)
    assert [run["run_id"] for run in listed] == [second.run_id, first.run_id]
    assert {run["root"] for run in listed} == {first.run_id}
    assert call("runs", "delete", second.run_id).stdout == "2 runs deleted.\n"
    assert json.loads(call("runs", "list", "--json").stdout) == []
    FlowOfFlows.from_yaml(traced).run()
    assert call("runs", "delete", "--older-than", "1").stdout == "0 runs deleted.\n"
    assert call("runs", "delete", "--older-than", "0").stdout == "1 run deleted.\n"
    assert call("runs", "delete").exit_code == 2
    missing = call("rerun", first.run_id)
    assert missing.exit_code == 1
    assert "there is no run" in missing.stderr


def test_a_copy_of_all_results_knows_where_they_come_from(traced, lume_context, tmp_path):
    FlowOfFlows.from_yaml(traced).run()
    record = stored(lume_context)
    copy = {"type": "hdf5", "path": str(tmp_path / "copy")}
    stores = ("--from", f"file:{tmp_path / 'lume' / 'results'}", "--to", f"hdf5:{copy['path']}")
    copied = call("results", "copy", *stores, "--runs")
    assert copied.exit_code == 0, copied.stderr
    with use_context(build_context({"home": str(tmp_path), "results_db": copy})):
        found = lineage(record)
    assert found.step is not None
    assert found.step.parents["right"].record.given == {"start": 5.0}
