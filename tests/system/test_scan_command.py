"""The command `lume-services scan`, as a user types it, interrupts it and kills it."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pandas as pd
import pytest
import scan_flows
from scanning import SQUARES, WAIT, alive, step, wait_until, workers_in

from lume_services.cli import main
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB

POINTS = int(os.environ.get("LUME_TEST_SCAN_POINTS", "1500"))


def children(pid):
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@pytest.fixture
def home(tmp_path):
    (tmp_path / "spec.yaml").write_text(json.dumps({"name": "scanned", "composing_flows": list(SQUARES)}))
    (tmp_path / "noted.yaml").write_text(
        json.dumps({"name": "noted", "composing_flows": [step("noted", {"folder": str(tmp_path)})]})
    )
    return tmp_path


class CommandLine:
    def __init__(self, home):
        self.home = home
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LUME_HOME": str(home / "lume"),
            "PREFECT_HOME": str(home / "prefect"),
            "PYTHONPATH": str(Path(scan_flows.__file__).parent),
            "PYTHONUNBUFFERED": "1",
        }

    def command(self, *arguments):
        return [sys.executable, "-m", "lume_services", *map(str, arguments)]

    def __call__(self, *arguments):
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, cwd=self.home, env=self.environment
        )
        assert "Traceback" not in done.stderr
        return done

    def start(self, *arguments, **options):
        return subprocess.Popen(self.command(*arguments), cwd=self.home, env=self.environment, **options)

    def service(self):
        store = FileResultsDB(self.home / "lume" / "results")
        return ResultsDBService(lambda: store)


@pytest.fixture
def cli(home):
    return CommandLine(home)


@pytest.fixture
def here(home, lume_context, monkeypatch):
    """The command in this process, which is sooner done."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "CRITICAL")  # where it is not set, the command sets it

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["lume-services", *arguments])
        main()

    return command


def test_a_summary_and_what_to_type_next(cli):
    done = cli(
        "scan", "spec.yaml", "--over", "square.x=0:10:5", "--over", "shift.by=1,2", "--output", "p.csv"
    )
    assert done.returncode == 0
    assert done.stdout.startswith("10 points: 10 ran, 0 were there already, 0 failed; ")
    assert "10 points written to p.csv" in done.stdout
    assert done.stderr.splitlines()[-1] == "points 10 of 10"
    (following,) = done.stdout.partition("Next:\n")[2].splitlines()
    typed = subprocess.run(
        following, shell=True, capture_output=True, text=True, cwd=cli.home, env=cli.environment
    )
    assert len(typed.stdout.splitlines()) == 11
    frame = pd.read_csv(cli.home / "p.csv")
    assert list(frame["inputs.square.x"]) == [0.0, 0.0, 2.5, 2.5, 5.0, 5.0, 7.5, 7.5, 10.0, 10.0]
    assert list(frame["outputs.shift.z"] - frame["outputs.square"]) == [1.0, 2.0] * 5


def test_failures_are_listed_and_the_exit_code_tells(cli):
    done = cli("scan", "spec.yaml", "--over", "square.x=1,2000,3", "--workers", 1, "--output", "p.h5")
    assert done.returncode == 1
    assert "3 points: 2 ran, 0 were there already, 1 failed" in done.stdout
    assert "  square.x=2000.0\n    step 'shift': the flow 'shift' failed" in done.stdout
    assert "ValueError: 4000000.0 is too large" in done.stdout
    assert "scanned.scan.failed" in done.stdout
    with h5py.File(cli.home / "p.h5") as file:
        assert len(file) == 2


def test_json(cli):
    done = cli(
        "scan", "spec.yaml", "--over", "square.x=1,2000", "--workers", 1, "--json", "--output", "p.parquet"
    )
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert done.stderr == ""
    assert (found["state"], found["points"], found["stored"], found["failed"]) == ("failed", 2, 1, 1)
    (failure,) = found["failures"]
    assert (failure["values"], failure["step"]) == ({"square.x": 2000.0}, "shift")
    assert list(pd.read_parquet(cli.home / "p.parquet")["outputs.square"]) == [1.0]


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (2, "square.x=0:10:1O"),
        (2, "square.y=1,2"),
        (2, "square.x=a"),
        (2, "square.x=1,2 --over shift.by=1,2,3 --zip"),
        (2, "shift.by=1,2"),
        (1, "square.x=1,2 --output p.xyz"),
    ],
)
def test_what_the_input_must_change_is_said_before_anything_runs(code, arguments, here, capsys):
    with pytest.raises(SystemExit) as caught:
        here("scan", "spec.yaml", "--over", *arguments.split())
    assert caught.value.code == code
    assert capsys.readouterr().err.startswith("Error: ")
    assert not Path("lume", "results").exists()


def test_a_bar_on_a_terminal(cli):
    master, terminal = pty.openpty()
    with cli.start(
        "scan",
        "spec.yaml",
        "--over",
        "square.x=0:10:20",
        "--workers",
        1,
        stdout=subprocess.PIPE,
        stderr=terminal,
    ) as run:
        os.close(terminal)
        shown = b""
        try:
            while part := os.read(master, 65536):
                shown += part
        except OSError:  # the other end was closed
            pass
        assert run.wait(WAIT) == 0
    os.close(master)
    assert b"20/20" in shown
    assert b"/s" in shown


def test_killed_in_the_middle_and_typed_again(cli, home):
    arguments = ("scan", "noted.yaml", "--over", f"noted.x=0:{POINTS - 1}:{POINTS}")
    run = cli.start(
        *arguments, "--set", "noted.seconds=0.001", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    store = home / "lume" / "results" / "results.sqlite"
    wait_until(lambda: store.exists() and cli.service().count(collection="noted.scan") > POINTS // 10)
    run.kill()
    run.wait()
    assert workers_in(home)
    wait_until(lambda: not any(map(alive, workers_in(home))))
    before = {record["_id"] for record in cli.service().find(collection="noted.scan", fields=["unique_hash"])}
    assert POINTS // 10 < len(before) < POINTS

    done = cli(*arguments, "--set", "noted.seconds=0.001", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["stored"], found["reused"], found["failed"]) == (POINTS - len(before), len(before), 0)
    records = list(cli.service().find(collection="noted.scan", fields=["inputs", "outputs"]))
    assert sorted(record["inputs"]["noted"]["x"] for record in records) == [float(x) for x in range(POINTS)]
    assert all(record["outputs"]["noted"] == record["inputs"]["noted"]["x"] for record in records)
    assert before <= {record["_id"] for record in records}
    calls = [float(line) for line in (home / "calls").read_text().split()]
    assert set(calls) == set(map(float, range(POINTS)))


@pytest.mark.parametrize("when", ["at a point", "at the start"])
def test_no_process_outlives_a_scan_that_is_killed(cli, home, when):
    arguments = ("scan", "noted.yaml", "--over", "noted.x=1,2", "--set", "noted.seconds=3600")
    run = cli.start(*arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: len(children(run.pid)) == 2)
    if when == "at a point":
        wait_until(lambda: len(workers_in(home)) == 2)
    workers = children(run.pid)
    run.kill()
    run.wait()
    wait_until(lambda: not any(map(alive, workers)))


def test_ctrl_c_keeps_what_has_run(cli, home):
    run = cli.start(
        "scan", "noted.yaml", "--over", "noted.x=0:9999:10000", "--set", "noted.seconds=0.01",
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: workers_in(home) and (home / "calls").exists())
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=WAIT)
    assert run.returncode not in (0, None)
    assert "the same command runs the rest" in errors
    assert "Traceback" not in errors
    assert not any(map(alive, workers_in(home)))
    called = len((home / "calls").read_text().split())
    assert cli.service().count(collection="noted.scan") == called
