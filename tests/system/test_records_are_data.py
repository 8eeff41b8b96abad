"""What is stored chooses nothing that is run: records of runs are data, whoever wrote them."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import pytest
from prefect import flow
from typer.testing import CliRunner

from lume_services.cli.app import app
from lume_services.errors import (
    DecodeError,
    NotTrustedError,
    ResultCorruptError,
    ResultsDBError,
    RunNotFoundError,
    SpecError,
)
from lume_services.flows import FlowOfFlows
from lume_services.flows.code.code import Code
from lume_services.flows.runs.records import RUNS, STEPS, RunRecord, RunRecords, StepRecord
from lume_services.flows.runs.rerun import recorded_code, rerun
from lume_services.results import Result, copy_results, export_results, import_results
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB
from lume_services.values.hdf5 import write_value

RAN = []


@flow
def double(x: float = 1.0) -> float:
    RAN.append(x)
    return 2 * x


SPEC = {"name": "mine", "composing_flows": [{"name": "double"}]}


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A folder with a module that leaves a mark when it is imported."""
    folder = tmp_path / "evil"
    folder.mkdir()
    (folder / "evil_flows.py").write_text(
        "from pathlib import Path\nfrom prefect import flow\n"
        "Path(__file__).with_name('imported').touch()\n"
        "@flow\ndef double(x: float = 1.0) -> float:\n    return 2 * x\n"
    )
    return folder


def forged(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Records of a run that names the module; by their collections."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    spec = {"name": "mine", "composing_flows": [{"name": "double", "entrypoint": "evil_flows:double"}]}
    run = {
        "run_id": "forged",
        "root": "forged",
        "name": "mine",
        "project_name": None,
        "spec": spec,
        "folder": str(folder),
        "parameters": {"double": {"x": 4.0}},
        "backend": "local",
        "provenance": {},
        "began": began,
    }
    step = StepRecord(
        run_id="forged",
        root="forged",
        step="double",
        flow="double",
        state="completed",
        code=Code("double", None, "", {}, {}),
        inputs={},
        parents={},
        began=began,
        seconds=1.0,
        flow_run_id="f" * 8,
        value=8.0,
        id="step",
    )
    return [(RUNS, run), (STEPS, {**vars(step), "code": vars(step.code), "unique_hash": "step"})]


def store_forged(service: ResultsDBService, folder: Path) -> None:
    for collection, record in forged(folder):
        item = {"unique_hash": "forged", "date_modified": record["began"], **record}
        service.insert_one(item, collection=collection)


def call(*arguments: str, **kwargs: Any) -> Any:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}, **kwargs)


@pytest.mark.parametrize(
    "name", [RUNS, STEPS, "_LUME_runs", "_lume_leases", "_lume_x.blobs", "_\uff4cume_runs"]
)
@pytest.mark.parametrize("form", ["h5", "json", "jsonl"])
def test_no_import_reaches_what_is_kept_of_runs(lume_context, tmp_path, evil, name, form):
    path = tmp_path / f"results.{form}"
    record = Result(project_name="x", outputs={"spec": 1}).as_record()
    if form == "h5":
        with h5py.File(path, "w") as file:
            write_value(file.create_group("0"), {**record, "project_name": name})
    else:
        export_results([record], path)
        path.write_text(path.read_text().replace('"project_name": "x"', f'"project_name": "{name}"'))
        assert name in path.read_text()
    shown = call("results", "import", str(path))
    assert shown.exit_code == 1
    assert "the records of runs" in shown.stderr
    with pytest.raises((DecodeError, ResultsDBError)):
        import_results(path, lume_context.results_db_service())
    assert lume_context.results_db().collections() == []


def test_a_copy_takes_what_is_kept_of_runs_where_that_is_asked_for_alone(lume_context, tmp_path, evil):
    other = FileResultsDB(tmp_path / "other")
    source = ResultsDBService(lambda: other)
    store_forged(source, evil)
    Result(project_name="p", outputs={"y": 1}).insert(source)
    with pytest.raises(ResultsDBError, match="not taken from elsewhere"):
        copy_results(source, lume_context.results_db_service(), RUNS)
    other.close()
    stores = ("--from", f"file:{tmp_path / 'other'}", "--to", f"file:{tmp_path / 'lume' / 'results'}")
    assert call("results", "copy", *stores).exit_code == 0
    assert lume_context.results_db().collections() == ["p"]
    refused = call("results", "copy", *stores, "--project", RUNS)
    assert refused.exit_code == 1
    assert "there is no project" in refused.stderr
    assert call("results", "copy", *stores, "--runs").exit_code == 0
    assert RunRecords().run("latest").run_id == "forged"


def test_no_result_and_no_scan_is_stored_among_the_records_of_runs(lume_context):
    with pytest.raises(ValueError, match="not for results"):
        Result(project_name=RUNS)
    composed = FlowOfFlows.from_yaml({**SPEC, "project_name": "_lume_"}, [double])
    with pytest.raises(SpecError, match="the collection '_lume_.scan'"):
        composed.scan({"double.x": [1.0]})


@pytest.mark.parametrize(
    "command",
    [
        ("rerun", "latest"),
        ("rerun", "forged", "--json"),
        ("graph", "--run", "latest"),
        ("runs", "list"),
        ("runs", "list", "--json"),
    ],
)
def test_no_command_imports_what_a_record_names(lume_context, evil, command):
    store_forged(lume_context.results_db_service(), evil)
    shown = call(*command)
    assert not (evil / "imported").exists()
    if command[0] == "rerun":
        assert shown.exit_code == 2
        assert "'evil_flows:double'" in shown.stderr
        assert str(evil) in shown.stderr
        assert "--yes" in shown.stderr
    else:
        assert shown.exit_code == 0, shown.stderr


def test_a_lineage_shows_it_as_text(lume_context, evil):
    store_forged(lume_context.results_db_service(), evil)
    result = Result(project_name="p", provenance={"step_run_id": "f" * 8})
    result.insert()
    assert "step double" in call("results", "lineage", str(result.id)).stdout
    assert not (evil / "imported").exists()


def test_a_spec_of_the_user_is_run_and_not_the_one_in_the_record(lume_context, evil, tmp_path):
    store_forged(lume_context.results_db_service(), evil)
    records = RunRecords()
    RAN.clear()
    done = rerun(records.run("latest"), records, FlowOfFlows.from_yaml(SPEC, [double]))
    assert (RAN, done.differences) == ([4.0], ())
    (tmp_path / "honest_flows.py").write_text(
        "from prefect import flow\n@flow\ndef double(x: float) -> float:\n    return 3 * x\n"
    )
    spec = tmp_path / "spec.json"
    steps = [{"name": "double", "entrypoint": "honest_flows:double"}]
    spec.write_text(json.dumps({"name": "mine", "composing_flows": steps}))
    shown = call("rerun", "forged", str(spec))
    assert (shown.exit_code, shown.stdout.splitlines()[-1]) == (1, "  double: 8.0 is 12.0 now"), shown.stderr
    assert not (evil / "imported").exists()


def test_a_spec_of_another_name_is_refused(lume_context, evil):
    store_forged(lume_context.results_db_service(), evil)
    records = RunRecords()
    other = FlowOfFlows.from_yaml({**SPEC, "name": "other"}, [double])
    with pytest.raises(RunNotFoundError, match="one of the spec 'mine', not 'other'"):
        rerun(records.run("forged"), records, other)


def test_consent_runs_what_the_record_names(lume_context, evil):
    store_forged(lume_context.results_db_service(), evil)
    records = RunRecords()
    run = records.run("forged")
    assert recorded_code(run) == {"double": "evil_flows:double"}
    with pytest.raises(NotTrustedError) as caught:
        rerun(run, records)
    assert (caught.value.folder, caught.value.entrypoints) == (str(evil), {"double": "evil_flows:double"})
    shown = call("rerun", "forged", "--yes")
    assert shown.exit_code == 0, shown.stderr
    assert (evil / "imported").exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_a_person_at_a_terminal_is_shown_the_code_and_asked(lume_context, evil, answer, code):
    store_forged(lume_context.results_db_service(), evil)
    ours, theirs = pty.openpty()
    home = str(lume_context.settings().home)
    with subprocess.Popen(
        [sys.executable, "-m", "lume_services", "rerun", "latest"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LUME_HOME": home},
        text=True,
    ) as process:
        os.write(ours, answer.encode())
        _, shown = process.communicate(timeout=120)
        os.close(ours)
        os.close(theirs)
    assert f"  folder: {evil}\n  step double: evil_flows:double\nRun it? [y/N] " in shown
    assert process.returncode == code, shown
    assert (evil / "imported").exists() is (code == 0)


@pytest.mark.parametrize("wrong", [{"began": "yesterday"}, {"spec": 7}, {"folder": 3}, {"parameters": []}])
def test_a_record_that_no_run_has_written_is_an_error_of_ours(lume_context, evil, wrong):
    [(_, run), _] = forged(evil)
    item = {**run, **wrong, "unique_hash": "forged", "date_modified": run["began"]}
    lume_context.results_db_service().insert_one(item, collection=RUNS)
    with pytest.raises(
        ResultCorruptError, match=f"no record of a run that we have written: {next(iter(wrong))}"
    ):
        RunRecord.of(item)
    for command in (("runs", "list"), ("graph", "--run", "forged"), ("rerun", "forged")):
        shown = call(*command)
        assert shown.exit_code == 1
        assert shown.stderr.startswith("Error: record forged: "), shown.stderr


def test_a_step_that_claims_to_be_its_own_parent(lume_context, evil):
    [(_, run), (_, step)] = forged(evil)
    steps = [
        {"name": "double"},
        {"name": "next", "mapped_parameters": {"x": {"parent_flow_name": "double"}}},
    ]
    service = lume_context.results_db_service()
    began = {"unique_hash": "forged", "date_modified": run["began"]}
    service.insert_one({**run, "spec": {"name": "mine", "composing_flows": steps}} | began, collection=RUNS)
    service.insert_one({**step, "step": "next", "parents": {"double": "step"}}, collection=STEPS)
    result = Result(project_name="p", provenance={"step_run_id": "f" * 8})
    result.insert()
    shown = call("results", "lineage", str(result.id))
    assert (shown.exit_code, "it depends on itself" in shown.stderr) == (1, True), shown.stderr
