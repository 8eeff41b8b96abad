"""The command line as a user types it, in a process of its own."""

import csv
import json
import os
import subprocess
import sys
from importlib.resources import files

import h5py
import pandas as pd
import pytest
from terminal import shown_on_a_terminal

QUAD_SCAN = str(files("lume_services") / "examples/quad_scan/quad_scan.yaml")
FEW = ["--set", "beam.n_particle=2000", "--set", "track.points=7"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def cli(home):
    """Run `lume-services`, with nothing of this process's environment but the path."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LUME_HOME": str(home / "lume"),
        "PREFECT_HOME": str(home / "prefect"),
    }

    def cli(*arguments, **env):
        return subprocess.run(
            [sys.executable, "-m", "lume_services", *arguments],
            capture_output=True,
            text=True,
            cwd=home,
            env={**environment, **env},
        )

    cli.environment = environment
    return cli


@pytest.fixture(scope="module")
def done(cli):
    """One run of the main job, small."""
    done = cli("run", QUAD_SCAN, *FEW)
    assert done.returncode == 0, done.stderr
    return done


def test_run_ends_with_the_emittance_the_files_and_what_to_type_next(done, home):
    assert "emittance_x" in done.stdout
    assert "±" in done.stdout
    assert "true" in done.stdout
    listed = [line.strip() for line in done.stdout.splitlines() if line.startswith(f"  {home}")]
    assert len(listed) == 3
    assert all(os.path.exists(path) for path in listed)
    assert "results list --project quad_scan" in done.stdout


def test_run_prints_plain_lines_in_a_pipe(done):
    lines = done.stderr.splitlines()
    assert [line.split()[:2] for line in lines] == [
        [step, state] for step in ("beam", "track", "fit") for state in ("running", "completed")
    ]


def test_next_commands_can_be_typed(done, cli, home):
    commands = done.stdout.partition("Next:\n")[2].splitlines()
    assert len(commands) == 3
    for command in commands:
        typed = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, cwd=home, env=cli.environment
        )
        assert typed.returncode == 0, typed.stderr
    assert (home / "graph.svg").read_text().startswith("<svg")


def test_run_as_json(cli):
    done = cli("run", QUAD_SCAN, *FEW, "--json")
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["state"] == "completed"
    assert [step["state"] for step in report["steps"]] == ["completed"] * 3
    fit = report["results"]["fit"]
    assert abs(fit["emittance_x"] - fit["emittance_x_true"]) < 5 * fit["emittance_x_error"]
    assert all(os.path.exists(file["path"]) for file in report["files"])


def test_live_progress_on_a_terminal(cli, home):
    command = [sys.executable, "-m", "lume_services", "run", QUAD_SCAN, *FEW]
    text = shown_on_a_terminal(command, folder=home, environment=cli.environment, columns=100)
    assert "\x1b[" in text
    assert all(step in text for step in ("quad_scan", "beam", "track", "fit"))
    assert text.count("✓") >= 3


def test_values_from_a_file_and_the_command_line(cli, home):
    (home / "values.yaml").write_text("beam: {n_particle: 2000, seed: 5}\ntrack: {points: 5}\n")
    done = cli("run", QUAD_SCAN, "--params", "values.yaml", "--set", "track.points=6", "--json")
    assert json.loads(done.stdout)["results"]["fit"]["points_x"] == 6


class TestResults:
    def test_list(self, done, cli):
        shown = cli("results", "list", "--where", "outputs.emittance_x < 2e-6", "--json")
        found = json.loads(shown.stdout)
        assert found
        assert all(record["outputs"]["emittance_x"] < 2e-6 for record in found)
        raw = cli("results", "list", "--query", '{"outputs.emittance_x": {"$lt": 2e-6}}', "--json")
        assert json.loads(raw.stdout) == found
        assert json.loads(cli("results", "list", "-w", "outputs.emittance_x > 1", "--json").stdout) == []

    def test_list_is_plain_in_a_pipe(self, done, cli):
        lines = cli("results", "list", "--fields", "outputs.emittance_x", "-n", "1").stdout.splitlines()
        assert lines[0] == "id\toutputs.emittance_x"
        assert len(lines) == 2

    def test_show(self, done, cli):
        record = json.loads(cli("results", "list", "-w", "outputs.emittance_x < 1", "--json").stdout)[0]
        for name in (record["_id"], record["unique_hash"], record["unique_hash"][:10]):
            assert json.loads(cli("results", "show", name, "--json").stdout) == record
        assert "emittance_x" in cli("results", "show", record["_id"]).stdout

    def test_export(self, done, cli, home):
        record = json.loads(cli("results", "list", "-w", "outputs.emittance_x < 1", "--json").stdout)[0]
        emittance = record["outputs"]["emittance_x"]
        for form in ("csv", "json", "jsonl", "parquet", "hdf5"):
            query = json.dumps({"unique_hash": record["unique_hash"]})
            exported = cli("results", "export", f"out.{form}", "--format", form, "--query", query)
            assert exported.stdout == f"1 results written to out.{form}\n"
        with (home / "out.csv").open() as file:
            assert float(next(csv.DictReader(file))["outputs.emittance_x"]) == emittance
        assert json.loads((home / "out.json").read_text())[0]["outputs"]["emittance_x"] == emittance
        assert json.loads((home / "out.jsonl").read_text())["outputs"]["emittance_x"] == emittance
        assert pd.read_parquet(home / "out.parquet")["outputs.emittance_x"][0] == emittance
        with h5py.File(home / "out.hdf5") as file:
            assert file[record["_id"]]["outputs/emittance_x"][()] == emittance

    @pytest.mark.parametrize(
        ("arguments", "message", "code"),
        [
            (["list", "--where", "outputs.y <"], "expected a value", 2),
            (["list", "--query", "{bad"], "not valid JSON", 2),
            (["list", "--query", '{"a": {"$gtt": 1}}'], "Did you mean '$gt'?", 2),
            (["list", "--project", "quad_scam"], "Did you mean 'quad_scan'?", 1),
            (["show", "nothing"], "results list", 1),
            (["export", "out.xls"], "choose one of", 1),
        ],
    )
    def test_mistakes(self, done, cli, arguments, message, code):
        shown = cli("results", *arguments)
        assert shown.returncode == code
        assert message.lower() in shown.stderr.lower()
        assert "Traceback" not in shown.stderr


class TestGraph:
    def test_text_mermaid_json(self, cli):
        assert "beam_file" in cli("graph", QUAD_SCAN).stdout
        assert cli("graph", QUAD_SCAN, "--mermaid").stdout.startswith("flowchart")
        assert len(json.loads(cli("graph", QUAD_SCAN, "--json").stdout)["steps"]) == 3

    def test_the_users_modules_are_not_imported(self, cli, home):
        (home / "explosive.py").write_text("raise SystemExit('imported')")
        (home / "explosive.yaml").write_text(
            "name: x\ncomposing_flows:\n  - {name: a, entrypoint: 'explosive:a'}\n"
        )
        assert cli("graph", "explosive.yaml", "--svg", "explosive.svg").returncode == 0
        assert "a</text>" in (home / "explosive.svg").read_text()


SPEC = """\
name: work
composing_flows:
  - {name: first, entrypoint: "my_flows:first"}
  - name: second
    entrypoint: my_flows:second
    mapped_parameters:
      x: {parent_flow_name: first}
"""
FLOWS = """\
from prefect import flow
@flow
def first(a: int, text: str = "") -> int:
    if a > 10:
        raise ValueError("beam lost")
    return a
@flow
def second(x: int) -> int:
    return x + 1
"""


@pytest.fixture
def work(cli, tmp_path):
    """A spec of a user with its flows beside it, and the command with a home of its own."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "my_flows.py").write_text(FLOWS)

    def work(*arguments):
        return cli(*arguments, LUME_HOME=str(tmp_path / "lume"))

    work.folder = tmp_path
    work.spec = str(tmp_path / "spec.yaml")
    return work


def test_flows_beside_the_spec_and_typed_values(work):
    done = work("run", work.spec, "--set", "first.a=3", "--set", "first.text=007", "--json")
    assert json.loads(done.stdout)["results"] == {"first": 3, "second": 4}
    assert work("run", work.spec, "--set", "first.a=3", "--set", "first.text=5").returncode == 0


def test_all_mistakes_at_once_and_nothing_runs(work):
    broken = SPEC.replace("x:", "y:").replace("name: work", "name: work\ncolor: red")
    (work.folder / "spec.yaml").write_text(broken)
    done = work("run", work.spec, "--set", "first.b=3")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for text in ("spec.yaml:2", "'color'", "'y'", "first.a", "'b'"):
        assert text in done.stderr, text
    assert not (work.folder / "lume").exists()
    found = json.loads(work("validate", work.spec, "--json").stdout)
    assert found["valid"] is False
    assert len(found["problems"]) >= 3


@pytest.mark.parametrize(
    ("assignment", "message"),
    [("first.a", "STEP.PARAM=VALUE"), ("first.a=three", "integer"), ("frist.a=3", "Did you mean 'first'")],
)
def test_bad_values(work, assignment, message):
    done = work("run", work.spec, "--set", assignment)
    assert done.returncode == 2
    assert message in done.stderr


def test_validate(work):
    done = work("validate", work.spec, "--set", "first.a=3")
    assert done.stdout == f"{work.spec} is valid: 2 steps, ready to run.\n"
    assert not (work.folder / "lume").exists()


def test_a_failing_flow_is_one_clear_message(work):
    done = work("run", work.spec, "--set", "first.a=11")
    assert done.returncode == 1
    assert "ValueError: beam lost" in done.stderr
    assert "my_flows.py:5" in done.stderr
    assert "Traceback" not in done.stderr
    assert "second skipped" in done.stderr
    report = json.loads(work("run", work.spec, "--set", "first.a=11", "--json").stdout)
    assert report["state"] == "failed"
    assert [step["state"] for step in report["steps"]] == ["failed", "skipped"]


def test_logs_are_shown_when_asked_for(work):
    assert "Beginning flow run" in work("run", work.spec, "--set", "first.a=1", "--logs").stderr


def test_doctor(cli, tmp_path):
    findings = {f["check"]: f for f in json.loads(cli("doctor", "--json").stdout)}
    assert findings.keys() == {"versions", "filesystem local", "results store", "backend"}
    assert all(finding["ok"] for finding in findings.values())
    (tmp_path / "file").write_text("")
    done = cli("doctor", LUME_RESULTS_DB__PATH=str(tmp_path / "file"))
    assert done.returncode == 1
    assert "FAILED" in done.stdout
