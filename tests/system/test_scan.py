"""Scans run in processes, are killed, and go on."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scan_flows
from prefect import flow

from lume_services.config import configure
from lume_services.errors import BackendError, NotAFlowError
from lume_services.flows import FlowOfFlows
from lume_services.results import FailedScanResult, Result, ScanResult
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB
from lume_services.values import LazyArray

POINTS = int(os.environ.get("LUME_TEST_SCAN_POINTS", "1500"))
WAIT = 60  # seconds, for what comes soon


def step(name, alias=None, parameters=None, **mapped):
    spec = {"name": name, "parameters": parameters or {}, "mapped_parameters": mapped}
    return {
        **spec,
        "entrypoint": f"scan_flows:{name.replace('-', '_')}",
        **({"alias": alias} if alias else {}),
    }


def from_step(name, **more):
    return {"parent_flow_name": name, **more}


def compose(*steps, **top):
    return FlowOfFlows.from_yaml({"name": "scanned", "composing_flows": list(steps), **top})


SQUARES = (step("square"), step("shift", y=from_step("square")))


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition):
    deadline = time.monotonic() + WAIT
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def children(pid):
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def workers_in(folder):
    return [int(file.name.partition("-")[2]) for file in folder.glob("worker-*")]


def test_all_combinations_with_their_results(lume_context):
    scan = compose(*SQUARES).scan({"square.x": "0:2:3", "shift.by": [10, 20]})
    points = list(scan)
    assert scan.total == 6
    assert scan.keys == ("square.x", "shift.by")
    found = {tuple(point.values.values()): point.results for point in points}
    assert found == {
        (x, by): {"square": x * x, "shift": {"z": x * x + by, "parts": {"y": x * x, "by": by}}}
        for x in (0.0, 1.0, 2.0)
        for by in (10.0, 20.0)
    }
    assert all(point.error is None and not point.reused for point in points)


def test_a_record_for_each_point(lume_context):
    scan = compose(*SQUARES, project_name="magnets").scan({"square.x": [3]}, parameters={"shift": {"by": 2}})
    list(scan)
    (result,) = Result.find("magnets.scan")
    assert type(result) is ScanResult
    assert result.inputs == {"square": {"x": 3.0}}
    assert result.outputs == {"square": 9.0, "shift": {"z": 11.0, "parts": {"y": 9.0, "by": 2.0}}}
    assert result.scan_id == scan.scan_id
    assert result.provenance.flow_name == "scanned"
    assert result.provenance.backend == "local"
    assert result.provenance.flow_run_id


def test_one_table(lume_context):
    scan = compose(*SQUARES).scan({"square.x": "0:2:3"})
    list(scan)
    frame = lume_context.results_db_service().to_dataframe(
        collection=scan.collection, query={"scan_id": scan.scan_id}, fields=["inputs", "outputs"]
    )
    frame = frame.sort_values("inputs.square.x")
    assert list(frame["inputs.square.x"]) == [0.0, 1.0, 2.0]
    assert list(frame["outputs.shift.z"]) == [1.0, 2.0, 5.0]
    assert list(frame["outputs.shift.parts.y"]) == [0.0, 1.0, 4.0]


def test_a_point_runs_once(lume_context, tmp_path):
    composed = compose(step("noted", parameters={"folder": str(tmp_path)}))
    list(composed.scan({"noted.x": [1, 2, 2, 3]}))
    again = list(composed.scan({"noted.x": [4, 3, 2, 2]}))
    assert sorted((point.values["noted.x"], point.reused) for point in again) == [
        (2.0, True), (2.0, True), (3.0, True), (4.0, False),
    ]  # fmt: skip
    assert sorted(point.results["noted"] for point in again) == [2.0, 2.0, 3.0, 4.0]
    assert sorted((tmp_path / "calls").read_text().split()) == ["1.0", "2.0", "3.0", "4.0"]


def test_other_values_for_all_points_are_another_scan(lume_context):
    composed = compose(*SQUARES)
    first, second = (composed.scan({"square.x": [1]}, parameters={"shift": {"by": by}}) for by in (1, 2))
    assert [point.results["shift"]["z"] for scan in (first, second) for point in scan] == [2.0, 3.0]
    assert first.scan_id != second.scan_id
    assert first.collection == second.collection


def test_failures_are_kept_apart_and_run_again(lume_context, tmp_path):
    path = tmp_path / "there"
    composed = compose(step("if-there", parameters={"path": str(path)}))
    scan = composed.scan({"if-there.x": "1:5:5"})
    failed = [point for point in scan if point.error]
    assert [(point.values, point.step, point.results) for point in failed] == [
        ({"if-there.x": 3.0}, "if-there", None)
    ]
    assert "FileNotFoundError" in failed[0].error
    assert "scan_flows.py:" in failed[0].error
    (record,) = Result.find(scan.failed_collection)
    assert type(record) is FailedScanResult
    assert (record.inputs, record.step, record.error) == (
        {"if-there": {"x": 3.0}},
        "if-there",
        failed[0].error,
    )
    service = lume_context.results_db_service()
    assert service.count(collection=scan.collection) == 4

    assert len([point for point in composed.scan({"if-there.x": "1:5:5"}) if point.error]) == 1
    assert service.count(collection=scan.failed_collection) == 1
    path.touch()
    again = list(composed.scan({"if-there.x": "1:5:5"}))
    assert [point.values for point in again if not point.reused] == [{"if-there.x": 3.0}]
    assert service.count(collection=scan.collection) == 5
    assert service.count(collection=scan.failed_collection) == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("leaves", "SystemExit: 3"),
        ("too-slow", "timed out after 0.1 second"),
        ("gives-a-failed-future", "RuntimeError: no 1.0"),
    ],
)
def test_whatever_a_flow_does_the_other_points_run(lume_context, name, message):
    composed = compose(step("square"), step(name))
    points = {
        point.values[f"{name}.x"]: point
        for point in composed.scan({f"{name}.x": [1, 2]}, parameters={"square": {"x": 1}})
    }
    assert points.keys() == {1.0, 2.0}
    assert message in points[1.0].error
    assert [point.step for point in points.values()] == [name, name]


def test_a_value_from_another_step_is_checked_as_prefect_does(lume_context):
    composed = compose(step("count"), step("square", x=from_step("count", attribute_index=[1])))
    points = {
        point.values["count.name"]: point
        for point in composed.scan({"count.name": ["6", "six"]}, parameters={"count": {"n": 1}})
    }
    assert points["6"].results["square"] == 36.0
    assert points["six"].step == "square"
    assert "unable to parse string as a number" in points["six"].error


def test_a_point_whose_results_cannot_be_stored_fails_alone(lume_context):
    points = list(compose(step("cannot-be-stored")).scan({"cannot-be-stored.x": [1, 2, 3, 4]}))
    errors = {point.values["cannot-be-stored.x"]: point.error for point in points}
    assert {x for x, error in errors.items() if error} == {2.0}
    assert 'outputs["cannot-be-stored"]["it"]' in errors[2.0]


def test_a_point_that_kills_its_process_fails_alone(lume_context):
    composed = compose(step("kills-its-process", parameters={"at": 5}))
    points = list(composed.scan({"kills-its-process.x": "0:29:30"}, workers=1))
    errors = {point.values["kills-its-process.x"]: point.error for point in points}
    assert len(points) == len(errors) == 30
    assert [x for x, error in errors.items() if error] == [5.0]
    assert "twice: Killed." in errors[5.0]
    (record,) = Result.find("scanned.scan.failed")
    assert record.inputs == {"kills-its-process": {"x": 5.0}}


STEPS = {
    "tasks": [
        step("with-tasks"),
        step("square", x=from_step("with-tasks", parent_task_name="double", attribute_index=[1])),
    ],
    "async": [step("asynchronous")],
    "files and results": [
        step("saves"),
        step(
            "loads",
            text=from_step("saves", parent_task_name="save_file", map_type="file"),
            y=from_step(
                "saves", parent_task_name="save_db_result", map_type="db", attribute_index=["outputs", "y", 1]
            ),
        ),
    ],
}


@pytest.mark.parametrize("name", STEPS)
def test_a_point_gives_what_a_run_gives(lume_context, name):
    composed = compose(*STEPS[name])
    first = STEPS[name][0]["name"]
    (point,) = composed.scan({f"{first}.x": [7.0]})
    assert point.error is None
    assert point.results == composed.run({first: {"x": 7.0}}).results


def test_a_future_counts_as_its_value(lume_context):
    (point,) = compose(step("gives-a-future")).scan({"gives-a-future.x": [7]})
    assert point.results == {"gives-a-future": 14.0}


def test_a_flow_with_retries_is_retried(lume_context, tmp_path):
    composed = compose(step("at-the-third-time", parameters={"folder": str(tmp_path)}))
    points = list(composed.scan({"at-the-third-time.x": [1, 2]}))
    assert sorted(point.results["at-the-third-time"] for point in points) == [1.0, 2.0]
    assert (tmp_path / "tries-1.0").read_text() == "..."


def test_large_arrays_are_read_when_they_are_used(lume_context):
    points = list(compose(step("image")).scan({"image.n": [20, 30]}))
    images = {point.values["image.n"]: point.results["image"] for point in points}
    assert all(isinstance(image, LazyArray) for image in images.values())
    assert images[30].shape == (30, 1000)
    assert np.all(images[20][3:5] == 20.0)


def test_workers_have_the_settings_of_this_process(lume_context, tmp_path):
    context = configure({"results_db": {"type": "hdf5", "path": tmp_path / "results"}, "home": tmp_path})
    assert [point.results["square"] for point in compose(step("square")).scan({"square.x": [2]})] == [4.0]
    assert context.results_db_service().count(collection="scanned.scan") == 1
    assert len(list((tmp_path / "results").rglob("*.h5"))) == 1


def test_closing_stops_the_workers(lume_context, tmp_path):
    composed = compose(step("noted", parameters={"folder": str(tmp_path), "seconds": 0.05}))
    with composed.scan({"noted.x": "0:9999:10000"}, workers=2) as scan:
        first = next(scan)
    assert first.results == {"noted": first.values["noted.x"]}
    assert not any(map(alive, workers_in(tmp_path)))
    called = len((tmp_path / "calls").read_text().split())
    assert lume_context.results_db_service().count(collection=scan.collection) == called
    with pytest.raises(StopIteration):
        next(scan)


def test_a_step_that_takes_no_end_is_given_up(lume_context, tmp_path):
    composed = compose(step("noted", parameters={"folder": str(tmp_path), "seconds": 3600}))
    scan = composed.scan({"noted.x": [1]})
    stopper = threading.Thread(
        target=lambda: [wait_until(lambda: workers_in(tmp_path)), os.kill(os.getpid(), signal.SIGINT)]
    )
    stopper.start()
    with pytest.raises(KeyboardInterrupt), scan:
        next(scan)
    stopper.join()
    assert not any(map(alive, workers_in(tmp_path)))


def test_a_flow_that_no_other_process_finds_is_refused(lume_context):
    @flow
    def here(x: float) -> float:
        return x

    composed = FlowOfFlows.from_yaml({"name": "s", "composing_flows": [{"name": "here"}]}, flows=[here])
    with pytest.raises(NotAFlowError, match=r"at the top of a module"):
        composed.scan({"here.x": [1]})


def test_flows_that_are_given_are_found_by_their_module(lume_context):
    spec = {"name": "s", "composing_flows": [{"name": "square"}]}
    composed = FlowOfFlows.from_yaml(spec, flows=[scan_flows.square])
    assert [point.results["square"] for point in composed.scan({"square.x": [3]})] == [9.0]


def test_other_backends_are_refused(lume_context):
    configure({"backend": "process", "prefect": {"api_url": "http://127.0.0.1:1/api"}})
    with pytest.raises(BackendError, match="LUME_BACKEND=local"):
        compose(step("square")).scan({"square.x": [1]})


# the command ------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    (tmp_path / "spec.yaml").write_text(json.dumps({"name": "scanned", "composing_flows": list(SQUARES)}))
    (tmp_path / "noted.yaml").write_text(
        json.dumps(
            {"name": "noted", "composing_flows": [step("noted", parameters={"folder": str(tmp_path)})]}
        )
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
    done = cli("scan", "spec.yaml", "--over", "square.x=1,2000,3", "--output", "p.h5")
    assert done.returncode == 1
    assert "3 points: 2 ran, 0 were there already, 1 failed" in done.stdout
    assert "  square.x=2000.0\n    step 'shift': the flow 'shift' failed" in done.stdout
    assert "ValueError: 4000000.0 is too large" in done.stdout
    assert "scanned.scan.failed" in done.stdout
    with h5py.File(cli.home / "p.h5") as file:
        assert len(file) == 2


def test_json(cli):
    done = cli("scan", "spec.yaml", "--over", "square.x=1,2000", "--json", "--output", "p.parquet")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert done.stderr == ""
    assert (found["state"], found["points"], found["stored"], found["failed"]) == ("failed", 2, 1, 1)
    (failure,) = found["failures"]
    assert (failure["values"], failure["step"]) == ({"square.x": 2000.0}, "shift")
    assert list(pd.read_parquet(cli.home / "p.parquet")["outputs.square"]) == [1.0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--over", "square.x=0:10:1O"],
        ["--over", "square.y=1,2"],
        ["--over", "square.x=a"],
        ["--over", "square.x=1,2", "--over", "shift.by=1,2,3", "--zip"],
        ["--over", "shift.by=1,2"],
    ],
)
def test_what_the_input_must_change_is_said_before_anything_runs(cli, arguments):
    done = cli("scan", "spec.yaml", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert not (cli.home / "lume" / "results").exists()


def test_an_output_of_no_known_format_is_refused_before_anything_runs(cli):
    done = cli("scan", "spec.yaml", "--over", "square.x=1,2", "--output", "p.xyz")
    assert done.returncode == 1
    assert "parquet" in done.stderr
    assert not (cli.home / "lume" / "results").exists()


def test_a_bar_on_a_terminal(cli):
    master, terminal = pty.openpty()
    with cli.start(
        "scan", "spec.yaml", "--over", "square.x=0:10:20", stdout=subprocess.PIPE, stderr=terminal
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
