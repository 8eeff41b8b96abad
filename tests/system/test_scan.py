"""Scans run in processes of this machine, as Python starts them."""

import os
import signal
import threading

import numpy as np
import pytest
import scan_flows
from prefect import flow
from scanning import SQUARES, alive, compose, from_step, step, wait_until, workers_in

from lume_services.config import configure
from lume_services.errors import BackendError, NotAFlowError, SpecError
from lume_services.flows import FlowOfFlows
from lume_services.flows.scans import local_pool, pool
from lume_services.flows.scans.steps import DirectStep
from lume_services.flows.signature import signature_of
from lume_services.results import FailedScanResult, Result, ScanResult
from lume_services.services.scheduling.recording import TaskRecorder
from lume_services.values import LazyArray


def test_all_combinations_in_one_table(lume_context):
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
    frame = lume_context.results_db_service().to_dataframe(
        collection=scan.collection, query={"scan_id": scan.scan_id}, fields=["inputs", "outputs"]
    )
    frame = frame.sort_values(["inputs.square.x", "inputs.shift.by"])
    assert list(frame["inputs.square.x"]) == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
    assert list(frame["outputs.shift.z"]) == [10.0, 20.0, 11.0, 21.0, 14.0, 24.0]
    assert list(frame["outputs.shift.parts.y"]) == [0.0, 0.0, 1.0, 1.0, 4.0, 4.0]


def test_a_record_for_each_point(lume_context):
    composed = compose(*SQUARES, project_name="magnets")
    scan = composed.scan({"square.x": [3]}, parameters={"shift": {"by": 2}}, workers=1)
    list(scan)
    (result,) = Result.find("magnets.scan")
    assert type(result) is ScanResult
    assert result.inputs == {"square": {"x": 3.0}}
    assert result.outputs == {"square": 9.0, "shift": {"z": 11.0, "parts": {"y": 9.0, "by": 2.0}}}
    assert result.scan_id == scan.scan_id
    assert result.provenance.flow_name == "scanned"
    assert result.provenance.backend == "local"
    assert result.provenance.flow_run_id

    other = composed.scan({"square.x": [3]}, parameters={"shift": {"by": 3}}, workers=1)
    assert other.scan_id != scan.scan_id
    assert other.collection == scan.collection
    assert [(point.results["shift"]["z"], point.reused) for point in other] == [(12.0, False)]


def test_a_point_runs_once(lume_context, tmp_path):
    composed = compose(step("noted", parameters={"folder": str(tmp_path)}))
    list(composed.scan({"noted.x": [1, 2, 2, 3]}, workers=1))
    again = list(composed.scan({"noted.x": [4, 3, 2, 2]}, workers=1))
    assert sorted((point.values["noted.x"], point.reused) for point in again) == [
        (2.0, True), (2.0, True), (3.0, True), (4.0, False),
    ]  # fmt: skip
    assert sorted(point.results["noted"] for point in again) == [2.0, 2.0, 3.0, 4.0]
    assert sorted((tmp_path / "calls").read_text().split()) == ["1.0", "2.0", "3.0", "4.0"]


SUBTRACTED = step(
    "subtract",
    values=from_step("background", attribute_index=["values"]),
    of_task=from_step("background", parent_task_name="measure"),
    where=from_step("background", attribute_index=["where"]),
)


def test_a_step_that_is_the_same_at_all_points_runs_once_in_a_process(lume_context, tmp_path):
    composed = compose(step("background", parameters={"folder": str(tmp_path)}), SUBTRACTED)
    with composed.scan({"subtract.x": "0:99:100"}, workers=2) as scan:
        points = list(scan)
    assert sorted(point.results["subtract"] for point in points) == [14.0 - 8 * x for x in range(99, -1, -1)]
    assert all(np.array_equal(point.results["background"]["values"], np.arange(4.0)) for point in points)
    assert all(point.results["background"]["where"] == [1] for point in points)
    calls = (tmp_path / "calls").read_text().split()
    assert len(calls) == len(set(calls)) <= 2

    (tmp_path / "calls").unlink()
    over = {"subtract.x": [1.0], "background.folder": [str(tmp_path)] * 3}
    assert len(list(composed.scan(over, workers=1))) == 3
    over = {"subtract.x": [1.0, 2.0, 3.0], "background.broken": [False, True]}
    assert sum(point.error is None for point in composed.scan(over, workers=1)) == 3
    assert len((tmp_path / "calls").read_text().split()) == 1 + 6


def test_a_step_that_is_the_same_at_all_points_and_fails_is_tried_at_each(lume_context, tmp_path):
    parameters = {"folder": str(tmp_path), "broken": True}
    composed = compose(step("background", parameters=parameters), SUBTRACTED)
    failed = list(composed.scan({"subtract.x": [1.0, 2.0]}, workers=1))
    assert [(point.step, "no light" in point.error) for point in failed] == [("background", True)] * 2
    assert len((tmp_path / "calls").read_text().split()) == 2


def test_failures_are_kept_apart_and_run_again(lume_context, tmp_path):
    path = tmp_path / "there"
    composed = compose(step("if-there", parameters={"path": str(path)}))
    scan = composed.scan({"if-there.x": "1:5:5"}, workers=1)
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

    again = list(composed.scan({"if-there.x": "1:5:5"}, workers=1))
    assert [point.values for point in again if point.error] == [{"if-there.x": 3.0}]
    assert service.count(collection=scan.failed_collection) == 1
    path.touch()
    again = list(composed.scan({"if-there.x": "1:5:5"}, workers=1))
    assert [point.values for point in again if not point.reused] == [{"if-there.x": 3.0}]
    assert service.count(collection=scan.collection) == 5
    assert service.count(collection=scan.failed_collection) == 0


FATES = {
    "leaves": "SystemExit: 3",
    "too-slow": "timed out after 0.1 second",
    "gives-a-failed-future": "RuntimeError: no 3.0",
    "cannot-be-stored": 'outputs["cannot-be-stored"]["it"]',
    "kills-its-process": "twice: Killed.",
}


def test_whatever_happens_at_a_point_the_others_run(lume_context):
    """Something goes wrong at the points 1 to 6, another thing at each."""
    steps = [step(name, {"at": at}, x=from_step("same")) for at, name in enumerate(FATES, start=1)]
    numbers = [step("count", {"n": 1}), step("square", x=from_step("count", attribute_index=[1]))]
    over = {"same.x": range(20), "count.name": ["six" if x == 6 else "5" for x in range(20)]}
    points = list(compose(step("same"), *steps, *numbers).scan(over, zipped=True, workers=1))
    failed = {point.values["same.x"]: point for point in points if point.error}
    assert len(points) == 20
    assert failed.keys() == {1, 2, 3, 4, 5, 6}
    for at, message in enumerate(FATES.values(), start=1):
        assert message in failed[at].error
    # A value from another step is checked as Prefect does it.
    assert "unable to parse string as a number" in failed[6].error
    named = [failed[at].step for at in range(1, 7)]
    assert named == ["leaves", "too-slow", "gives-a-failed-future", None, None, "square"]
    assert all(point.results["square"] == 25.0 for point in points if not point.error)
    assert sorted(record.inputs["same"]["x"] for record in Result.find("scanned.scan.failed")) == [
        *range(1, 7)
    ]


def test_a_scan_ends_that_only_loses_points(lume_context, monkeypatch):
    """Each point ends its process. Where one has finished, now or before, the others are told as failed."""
    monkeypatch.setattr(pool, "_HOPELESS", 2)
    composed = compose(step("kills-its-process"))
    every = {f"kills-its-process.{name}": range(1, 5) for name in ("x", "at")}
    with pytest.raises(BackendError, match="each of 2 points has ended what ran it") as caught:
        list(composed.scan(every, zipped=True, workers=2))
    assert "Killed" in caught.value.message
    assert "lume-services run" in caught.value.remedy
    some = {"kills-its-process.x": range(3), "kills-its-process.at": [-1, 1, 2]}
    for reused in (False, True):
        points = list(composed.scan(some, zipped=True, workers=1))
        assert {(point.values["kills-its-process.x"], point.reused) for point in points} == {
            (0.0, reused),
            (1.0, False),
            (2.0, False),
        }
        assert sum(point.error is not None for point in points) == 2


def test_a_point_gives_what_a_run_gives(lume_context, tmp_path):
    """With tasks, async, retried, with files and results, with the future of a task, with an array."""
    steps = (
        step("with-tasks"),
        step("square", x=from_step("with-tasks", parent_task_name="double", attribute_index=[1])),
        step("asynchronous"),
        step("saves"),
        step(
            "loads",
            text=from_step("saves", parent_task_name="save_file", map_type="file"),
            y=from_step(
                "saves", parent_task_name="save_db_result", map_type="db", attribute_index=["outputs", "y", 1]
            ),
        ),
        step("gives-a-future"),
        step("at-the-third-time", {"folder": str(tmp_path)}),
        step("image", {"n": 20}),
    )
    taking = ["with-tasks", "asynchronous", "saves", "gives-a-future", "at-the-third-time"]
    composed = compose(*steps)
    (point,) = composed.scan({f"{name}.x": [7.0] for name in taking}, workers=1)
    assert point.error is None
    assert point.results["gives-a-future"] == 14.0
    assert (tmp_path / "tries-7.0").read_text() == "..."

    found, expected = dict(point.results), dict(composed.run({name: {"x": 7.0} for name in taking}).results)
    image = found.pop("image")
    assert isinstance(image, LazyArray)  # it is read when it is used
    assert np.array_equal(image[3:5], expected.pop("image")[3:5])
    assert found == expected


def test_the_flow_run_of_a_chunk_keeps_no_task_of_its_points(lume_context):
    recorder = TaskRecorder()
    at_a_point = DirectStep(scan_flows.with_tasks, signature_of(scan_flows.with_tasks), [])

    @flow
    def around() -> list[float]:
        scan_flows.double(10.0)
        return [at_a_point.run({"x": x}) for x in (1.0, 2.0)]

    assert lume_context.scheduling_backend().run_and_return(recorder.watch(around)) == [6.0, 10.0]
    assert recorder.outcomes() == {"double": [20.0]}


def test_workers_have_the_settings_of_this_process(lume_context, tmp_path):
    context = configure({"results_db": {"type": "hdf5", "path": tmp_path / "results"}, "home": tmp_path})
    scan = compose(step("square")).scan({"square.x": [2]}, workers=1)
    assert [point.results["square"] for point in scan] == [4.0]
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


def test_a_step_that_takes_no_end_is_given_up(lume_context, tmp_path, monkeypatch):
    composed = compose(step("noted", parameters={"folder": str(tmp_path), "seconds": 3600}))
    monkeypatch.setattr(local_pool, "_SECONDS_TO_STOP", 1.0)
    scan = composed.scan({"noted.x": [1]}, workers=1)
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
    assert [point.results["square"] for point in composed.scan({"square.x": [3]}, workers=1)] == [9.0]


@pytest.mark.parametrize("own", [{"run_config": {"mem_limit": "8g"}}, {"image": "another:1"}])
def test_a_step_with_a_job_of_its_own_is_refused_where_a_point_is_in_one_job(lume_context, own):
    configure({"backend": "docker", "prefect": {"api_url": "http://127.0.0.1:1/api"}})
    composed = compose(SQUARES[0], SQUARES[1] | own, image="all:1")
    with pytest.raises(SpecError, match=r"step 'shift' wants one of its own.*LUME_RUN_CONFIG") as caught:
        composed.scan({"square.x": [1]})
    (problem,) = caught.value.problems
    assert problem.remedy.startswith(f"Leave its {next(iter(own))} out")


def test_a_step_may_be_where_its_point_is(lume_context):
    configure({"backend": "docker", "prefect": {"api_url": "http://127.0.0.1:1/api"}})
    here = {"run_config": {"backend": "local"}}
    assert compose(SQUARES[0], SQUARES[1] | here, image="all:1").scan({"square.x": [1]}).total == 1
