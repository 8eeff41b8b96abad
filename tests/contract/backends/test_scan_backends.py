"""Scans on every backend: each point is stored once, whatever happens to the jobs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
import scan_flows
import servers_prefect
from prefect import get_client
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.sorting import FlowRunSort
from scanning import SQUARES, alive, compose, from_step, step, wait_until, workers_in

from lume_services.config import configure
from lume_services.errors import FlowFailedError, NoWorkerError

LONG = 120  # seconds, for the start and the end of a job
on_processes = pytest.mark.parametrize("backend_settings", ["process"], indirect=True)


@pytest.fixture
def folder(context, request):
    """A folder that the jobs see, too."""
    found = Path(context.settings().home) / request.node.originalname
    found.mkdir(parents=True, exist_ok=True)
    return found


def stored(context, scan):
    """The points that are stored, each as often as it is."""
    records = context.results_db_service().find(collection=scan.collection, fields=["inputs"])
    return Counter(
        value for record in records for step in record["inputs"].values() for value in step.values()
    )


def test_every_point_is_stored_once(context, name):
    over = {"square.x": [*range(59), 2000]}
    scan = compose(*SQUARES).scan(over, workers=2)
    points = list(scan)
    assert len(points) == scan.total == 60
    (failed,) = [point for point in points if point.error]
    assert (failed.values, failed.step) == ({"square.x": 2000}, "shift")
    assert "ValueError: 4000000.0 is too large" in failed.error
    done = {point.values["square.x"]: point.results["shift"]["z"] for point in points if not point.error}
    assert done == {x: x * x + 1 for x in range(59)}
    assert stored(context, scan) == Counter(map(float, range(59)))
    service = context.results_db_service()
    (record,) = service.find(collection=scan.failed_collection)
    assert record["inputs"] == {"square": {"x": 2000.0}}
    provenance = service.find_one(collection=scan.collection)["provenance"]
    assert (provenance["backend"], provenance["flow_name"]) == (name, "scanned")

    again = list(compose(*SQUARES).scan({"square.x": range(59)}))
    assert len(again) == 59
    assert all(point.reused for point in again)


def test_a_killed_job_loses_no_point(context, folder, kill):
    """Another job runs the rest. Only points of the second before the end run twice."""
    noted = step("noted", {"folder": str(folder), "seconds": 0.1})
    held = step("held", {"folder": str(folder), "at": 20}, x=from_step("noted"))
    scan = compose(noted, held, name="killed").scan({"noted.x": range(40)}, workers=1)

    def calls():
        file = folder / "calls"
        return file.read_text().split() if file.exists() else []

    def kill_job():
        wait_until(lambda: "20.0" in calls(), LONG)
        record = context.results_db_service().latest(collection=scan.collection)
        newest = max(folder.glob("worker-*"), key=lambda file: file.stat().st_mtime)
        kill(record["provenance"]["flow_run_id"], int(newest.name.partition("-")[2]))
        wait_until(lambda: len(calls()) > 21, LONG)  # by another job
        (folder / "go").touch()

    killer = threading.Thread(target=kill_job)
    killer.start()
    points = list(scan)
    killer.join()
    assert sorted(point.values["noted.x"] for point in points) == list(range(40))
    assert not any(point.error for point in points)
    assert stored(context, scan) == Counter(map(float, range(40)))
    twice = {x for x, count in Counter(calls()).items() if count > 1}
    assert "20.0" in twice
    assert len(twice) <= 12


@on_processes
def test_a_point_that_kills_its_job_fails_alone(context):
    scan = compose(step("kills-its-process", {"at": 3}), name="kills").scan(
        {"kills-its-process.x": range(6)}, workers=1
    )
    errors = {point.values["kills-its-process.x"]: point.error for point in scan}
    assert errors.keys() == set(range(6))
    assert {x for x, error in errors.items() if error} == {3}
    assert "the job ended at this point" in errors[3]
    assert "SIGKILL" in errors[3]


@on_processes
def test_ctrl_c_cancels_the_jobs(context, folder):
    noted = step("noted", {"folder": str(folder), "seconds": 3600})
    scan = compose(noted, name="stopped").scan({"noted.x": [1]})

    def interrupt():
        wait_until(lambda: workers_in(folder), LONG)
        os.kill(os.getpid(), signal.SIGINT)

    stopper = threading.Thread(target=interrupt)
    stopper.start()
    with pytest.raises(KeyboardInterrupt), scan:
        next(scan)
    stopper.join()
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[context.settings().prefect.work_pool]))

    def ended():
        with context.scheduling_backend().entered(), get_client(sync_client=True) as client:
            runs = client.read_flow_runs(work_pool_filter=pool, sort=FlowRunSort.ID_DESC, limit=200)
        return all(run.state.is_final() for run in runs)

    wait_until(ended, LONG)
    assert not stored(context, scan)
    assert not any(map(alive, workers_in(folder)))


@on_processes
def test_jobs_that_cannot_run_the_spec_end_the_scan(context, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text(Path(scan_flows.__file__).read_text())
    monkeypatch.syspath_prepend(tmp_path)
    missing = {"name": "square", "entrypoint": "only_here:square"}
    with pytest.raises(FlowFailedError, match="there is no module 'only_here'"):
        list(compose(missing, name="missing").scan({"square.x": range(100)}))
    del sys.modules["only_here"]


def test_nobody_takes_the_jobs(tmp_path, lume_context):
    prefect = {
        "api_url": servers_prefect.session_server().url,
        "work_pool": f"nobody-{tmp_path.name}",
        "start_timeout_seconds": 2,
    }
    configure({"home": str(tmp_path), "backend": "process", "prefect": prefect})
    with pytest.raises(NoWorkerError, match=r"lume-services worker start --type process"):
        list(compose(step("square")).scan({"square.x": range(10)}))
