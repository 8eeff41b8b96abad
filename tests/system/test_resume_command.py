"""`lume-services run` with --resume, --from, --only, --no-cache, --retries, --explain; `runs list|delete`."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lume_services.cli.app import app

FLOWS = """
    from pathlib import Path
    from prefect import flow

    @flow
    def load(size: int) -> int:
        return size

    @flow
    def solve(size: int, order: int = 1) -> float:
        marker = Path(__file__).with_name("fails")
        if marker.exists():
            marker.unlink()
            raise ValueError("no convergence")
        return size / order

    @flow
    def plot(solution: float) -> str:
        return f"{solution:.1f}"
"""
SPEC = """
    name: solving
    composing_flows:
      - {name: load, entrypoint: solving_flows:load}
      - name: solve
        entrypoint: solving_flows:solve
        mapped_parameters: {size: {parent_flow_name: load}}
      - name: plot
        entrypoint: solving_flows:plot
        mapped_parameters: {solution: {parent_flow_name: solve}}
"""


class CommandLine:
    """Runs `lume-services run SPEC …` in this process, with the flows as their file has them."""

    def __init__(self, folder: Path) -> None:
        self.flows, self.spec, self.fails = (
            folder / name for name in ("solving_flows.py", "spec.yaml", "fails")
        )
        self.flows.write_text(textwrap.dedent(FLOWS))
        self.spec.write_text(textwrap.dedent(SPEC))

    def call(self, *arguments: str) -> Any:
        sys.modules.pop("solving_flows", None)
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})

    def run(self, *options: str) -> Any:
        done = self.call("run", str(self.spec), *options)
        assert "Traceback" not in done.stderr
        return done

    def steps(self, *options: str) -> dict[str, tuple[str, str | None]]:
        """What `--json` says of each step."""
        done = self.run(*options, "--json")
        return {step["step"]: (step["state"], step["why"]) for step in json.loads(done.stdout)["steps"]}

    def states(self, *options: str) -> dict[str, str]:
        return {step: state for step, (state, _) in self.steps(*options).items()}


@pytest.fixture
def solving(tmp_path, lume_context, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    # The command sets what is not set.
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "CRITICAL")
    folder = tmp_path / "spec"
    folder.mkdir()
    yield CommandLine(folder)
    sys.modules.pop("solving_flows", None)


def explained(done: Any) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.split(" ")[0] in ("load", "solve", "plot")]


def run_ids(solving: CommandLine) -> list[str]:
    return [run["run_id"] for run in json.loads(solving.call("runs", "list", "--json").stdout)]


def test_a_failed_run_says_how_to_go_on_and_why(solving):
    solving.fails.touch()
    failed = solving.run("--set", "load.size=6", "--explain")
    assert failed.exit_code == 1
    assert "no convergence" in failed.stderr
    assert explained(failed) == [
        "load ran: it has not run before.",
        "solve ran, and failed: it has not run before.",
        "plot skipped.",
    ]
    [first] = run_ids(solving)
    [hint] = [line for line in failed.stderr.splitlines() if line.startswith("To go on from here: ")]
    assert hint.endswith(f" run {solving.spec} --resume {first}")
    resumed = solving.run("--resume", "latest", "--explain")
    assert resumed.exit_code == 0
    assert explained(resumed) == [
        f"load reused: its inputs and its code are those of run {first}.",
        "solve ran: it failed before.",
        "plot ran: it has not run before.",
    ]


def test_json_has_why(solving):
    assert solving.run("--set", "load.size=6").exit_code == 0
    found = solving.steps("--resume", run_ids(solving)[0][:8], "--set", "solve.order=2")
    assert found["load"][0] == "reused"
    assert found["solve"] == ("completed", "its parameter 'order' has changed")
    assert found["plot"] == ("completed", "its parameter 'solution' has changed")


def test_json_of_a_run_that_failed(solving):
    solving.fails.touch()
    done = solving.run("--set", "load.size=6", "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["state"] == "failed"
    assert "no convergence" in told["error"]
    assert [step["state"] for step in told["steps"]] == ["completed", "failed", "skipped"]


def test_without_explain_nothing_is_explained(solving):
    assert explained(solving.run("--set", "load.size=6")) == []


def test_from_only_and_no_cache(solving):
    solving.run("--set", "load.size=6")
    assert solving.states("--from", "solve") == {"load": "reused", "solve": "completed", "plot": "completed"}
    assert solving.states("--only", "solve") == {"load": "reused", "solve": "completed", "plot": "skipped"}
    again = solving.steps("--resume", "latest", "--no-cache")
    assert set(again.values()) == {("completed", "it was asked for")}


def test_retries_go_on_by_themselves(solving):
    solving.fails.touch()
    done = solving.run("--set", "load.size=6", "--retries", "1", "--explain")
    assert done.exit_code == 0
    assert [line.partition(":")[0] for line in explained(done)] == ["load reused", "solve ran", "plot ran"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--resume", "latest"], 1, "there is no run of the spec 'solving'"),
        (["--from", "slove"], 2, "--from: there is no step 'slove'. Did you mean 'solve'?"),
        (["--only", "solve"], 1, "there is no run of the spec 'solving'"),
        (["--retries", "-1"], 2, "--retries"),
        ([], 2, "the parameter 'size' of the flow 'load' has no value"),
    ],
)
def test_what_cannot_be_done_is_told(solving, options, code, message):
    done = solving.run(*options)
    assert done.exit_code == code
    assert message in done.stderr


def test_runs_are_listed_and_deleted(solving):
    solving.run("--set", "load.size=6")
    solving.run("--resume", "latest")
    solving.run("--set", "load.size=7")
    alone, resumed, first = run_ids(solving)
    lines = solving.call("runs", "list", "--name", "solving", "--limit", "2").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["run", alone, resumed]
    assert solving.call("runs", "list", "--name", "other").stdout.splitlines() == lines[:1]
    assert solving.call("runs", "delete", resumed).stdout == "2 runs deleted.\n"
    assert run_ids(solving) == [alone]
    assert "there is no run" in solving.call("runs", "delete", first).stderr
