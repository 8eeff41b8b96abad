"""The contract of backends: what every one of them does. Only fixtures differ."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import backend_flows as flows
import numpy as np
import pytest
from prefect import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.sorting import FlowRunSort
from prefect.schedules import Interval
from pydantic import SecretStr

from lume_services.config import build_context, use_context
from lume_services.errors import (
    BackendError,
    EmptyResultError,
    FlowCancelledError,
    FlowCrashedError,
    FlowFailedError,
    FlowNotFoundError,
    FlowParametersError,
    NotAFlowError,
    RunConfigError,
    RunNotFoundError,
    RunTimeoutError,
    TaskNotCompletedError,
    TaskNotInFlowError,
)
from lume_services.examples.quad_scan import flows as quad_scan
from lume_services.tasks import load_file
from lume_services.testing import isolated_settings
from lume_services.values import fingerprint

LONG = 120


def started(path: Path, seconds: float = 60) -> int:
    """Wait for the flow `slow` and return its process."""
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, "the run did not start"
        time.sleep(0.05)
    return int(path.read_text())


def runs_of(project, backend):
    """Return the runs of the registered flows of a project."""
    wanted = DeploymentFilter(name=DeploymentFilterName(any_=[project]))
    with backend.entered(), get_client(sync_client=True) as client:
        return client.read_flow_runs(deployment_filter=wanted, sort=FlowRunSort.ID_DESC, limit=200)


@pytest.fixture
def shared(context, request) -> Path:
    """A folder that the jobs see, too."""
    folder = Path(context.settings().home) / request.node.name.partition("[")[0]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_run_gives_a_handle(service):
    handle = service.run(flow=flows.numbers, parameters={"x": 1})
    assert handle.result(LONG) == 6
    assert handle.run_id
    assert handle.wait().is_completed()
    assert handle.state.is_completed()


def test_a_run_is_found_by_its_id(service):
    handle = service.run(flow=flows.numbers, parameters={"x": 3})
    found = service.find_run(handle.run_id)
    assert found.run_id == handle.run_id
    assert found.result(LONG) == handle.result(LONG) == 10
    with pytest.raises(RunNotFoundError, match="no run 'nothing'"):
        service.find_run("nothing")
    with pytest.raises(RunNotFoundError):
        service.find_run("9cc1e0f0-1d7a-4a39-8dd9-59c3bdb4b8a1")


def test_run_and_return(service):
    assert service.run_and_return(flow=flows.numbers, parameters={"x": 1, "offset": 10}, timeout=LONG) == 16
    assert service.run_and_return(flow=flows.nothing, timeout=LONG) is None


def test_results_of_tasks_by_exact_name(service):
    handle = service.run(flow=flows.numbers, parameters={"x": 1})
    assert handle.task_result("twice") == 4
    assert handle.task_result("double") == [2, 6]
    with pytest.raises(TaskNotInFlowError, match="Did you mean 'double'"):
        handle.task_result("doubl")


def test_a_failure_raises_with_the_original_error(service):
    handle = service.run(flow=flows.failing)
    with pytest.raises(FlowFailedError, match="ValueError: beam lost") as caught:
        handle.result(LONG)
    error = caught.value
    assert (error.original_type, error.original_message) == ("ValueError", "beam lost")
    assert "in broken" in error.traceback
    assert "failing" in str(error)
    assert handle.task_result("double") == 2
    with pytest.raises(TaskNotCompletedError):
        handle.task_result("broken")


def test_env_reaches_the_job_and_nothing_else(service):
    config = {"env": {"LUME_TEST_VARIABLE": "here"}}
    names = {"names": ["LUME_TEST_VARIABLE"]}
    assert service.run_and_return(
        flow=flows.surroundings, parameters=names, run_config=config, timeout=LONG
    ) == {"LUME_TEST_VARIABLE": "here"}
    assert "LUME_TEST_VARIABLE" not in os.environ
    assert service.run_and_return(flow=flows.surroundings, parameters=names, timeout=LONG) == {
        "LUME_TEST_VARIABLE": None
    }


def test_labels_become_tags(service):
    handle = service.run(flow=flows.nothing, run_config={"labels": ["night", "injector"]})
    handle.wait(LONG)
    assert set(handle.tags) == {"night", "injector"}


def test_a_large_result_comes_back_whole(service):
    """100 MB, and the values beside it."""
    value = service.run_and_return(flow=flows.image, parameters={"rows": 13_000}, timeout=LONG)
    assert value["unit"] == "counts"
    assert type(value["image"]) is np.ndarray
    np.testing.assert_array_equal(value["image"], np.arange(13_000_000.0).reshape(13_000, 1000))
    assert service.run_and_return(flow=flows.image_sum, parameters={"rows": 100}, timeout=LONG) == 200_000


def test_a_value_that_cannot_be_kept(service, name):
    handle = service.run(flow=flows.unstorable)
    if name == "local":
        assert handle.result()() == 1
    else:
        with pytest.raises(EmptyResultError, match="function"):
            handle.result(LONG)


def test_retries(service, shared):
    assert (
        service.run_and_return(flow=flows.flaky, parameters={"path": str(shared / "calls")}, timeout=LONG)
        == 6
    )


def test_logs(service):
    handle = service.run(flow=flows.talking)
    lines = list(handle.follow_logs())
    handle.wait(LONG)
    deadline = time.monotonic() + 10
    while not any(line.message == "beam on" for line in lines) and time.monotonic() < deadline:
        time.sleep(0.2)
        lines = handle.logs()
    (line,) = [line for line in lines if line.message == "beam on"]
    assert line.level == 30
    assert line.run_name


def test_timeout_without_cancel(service, shared):
    path = shared / "pid"
    handle = service.run(flow=flows.slow, parameters={"seconds": 8, "path": str(path)})
    started(path)
    with pytest.raises(RunTimeoutError, match="0.3"):
        handle.wait(timeout=0.3)
    assert handle.result(LONG) == "done"


def test_timeout_with_cancel(service, shared):
    path = shared / "pid"
    begin = time.monotonic()
    with pytest.raises(RunTimeoutError):
        service.run_and_return(flow=flows.slow, parameters={"seconds": 300, "path": str(path)}, timeout=6)
    assert time.monotonic() - begin < 60


def test_cancel(service, shared):
    path = shared / "pid"
    handle = service.run(flow=flows.slow, parameters={"seconds": 300, "path": str(path)})
    started(path)
    handle.cancel()
    with pytest.raises(FlowCancelledError):
        handle.result(timeout=60)
    handle.cancel()
    assert handle.state.is_cancelled()


def test_a_job_that_dies_is_a_crash(service, name):
    if name == "local":
        pytest.skip("the job is this process")
    with pytest.raises(FlowCrashedError, match=r"SIGKILL|137|-9"):
        service.run(flow=flows.dies).result(LONG)


async def test_a_run_is_awaited(service):
    """In an event loop, as in a notebook or an async flow, which goes on meanwhile."""
    handle = service.run(flow=flows.numbers, parameters={"x": 1})
    failing = asyncio.create_task(service.arun_and_return(flow=flows.failing, timeout=LONG))
    assert await handle == 6
    with pytest.raises(FlowFailedError, match="beam lost"):
        await failing
    assert (
        await service.arun_and_return(
            flow=flows.numbers, parameters={"x": 1}, task_name="twice", timeout=LONG
        )
        == 4
    )


async def test_who_stops_to_wait_does_not_stop_the_run(service, shared):
    path = shared / "pid"
    handle = service.run(flow=flows.slow, parameters={"seconds": 6, "path": str(path)})
    await asyncio.to_thread(started, path)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(handle, 0.2)
    assert await handle == "done"


def test_runs_at_once_keep_their_own_results(service):
    handles = [service.run(flow=flows.numbers, parameters={"x": x}) for x in range(4)]
    assert [handle.result(LONG) for handle in handles] == [2 * (x + 2) for x in range(4)]


def test_parameters_are_checked_before_the_run(service):
    with pytest.raises(FlowParametersError, match="Did you mean 'offset'"):
        service.run(flow=flows.numbers, parameters={"x": 1, "ofset": 2})
    with pytest.raises(FlowParametersError, match="x: required"):
        service.run(flow=flows.numbers)


def test_a_value_of_a_wrong_type_does_not_run(service):
    with pytest.raises((FlowParametersError, FlowFailedError), match="x"):
        service.run_and_return(flow=flows.numbers, parameters={"x": "many"})


@pytest.mark.parametrize("value", [(1, "two"), {3, 4}, b"raw", {"beam": np.arange(3)}, [0.5] * 100_000])
def test_parameters_arrive_as_they_are(service, value):
    moment = datetime(2026, 11, 23, 12, tzinfo=UTC)
    image = np.ones((1000, 1000))
    parameters = {"value": value, "moment": moment, "pair": (1, 2.5), "image": image}
    got = service.run_and_return(flow=flows.echo, parameters=parameters)
    assert fingerprint(got["value"]) == fingerprint(value)
    assert (got["moment"], got["pair"], got["sum"]) == (moment, (1, 2.5), 1e6)
    assert got["types"] == [type(value).__name__, type(moment).__name__, "tuple", "ndarray"]


@pytest.mark.parametrize("value", ["hunter2", SecretStr("hunter2")])
def test_a_secret_is_no_parameter_where_it_would_be_kept(service, name, value):
    if name == "local":
        assert service.run_and_return(flow=flows.login, parameters={"password": value}) == 7
        return
    with pytest.raises(FlowParametersError, match="password: a secret cannot be a parameter") as refused:
        service.run(flow=flows.login, parameters={"password": value})
    assert "hunter2" not in str(refused.value)


def test_run_configs_are_checked_before_the_run(service):
    with pytest.raises(RunConfigError, match="Did you mean 'env'|env"):
        service.run(flow=flows.nothing, run_config={"enf": {}})


def test_registered_flows_run_by_name(service):
    service.create_project("project")
    identity = service.register_flow(flow=flows.numbers, project_name="project", labels=["registered"])
    assert identity == "numbers/project"
    assert (
        service.register_flow(flow=flows.numbers, project_name="project", labels=["registered"]) == identity
    )
    assert identity in service.list_flows()
    assert service.load_flow(identity) is flows.numbers
    assert service.run_and_return(flow=identity, parameters={"x": 1}, timeout=LONG) == 6
    with pytest.raises(FlowNotFoundError, match="numbers"):
        service.load_flow("numberz", project_name="project")
    service.delete_flow(identity)
    with pytest.raises(FlowNotFoundError):
        service.run(flow=identity)


def test_a_run_leaves_what_its_flow_was_registered_with(service, context, name):
    if name == "local":
        pytest.skip("nothing is kept of a flow that is registered")
    identity = service.register_flow(
        flows.nothing, labels=["kept"], description="kept", schedule=Interval(timedelta(days=30))
    )
    handle = service.run(flow=flows.nothing, run_config={"labels": ["other"]})
    assert handle.tags == {"kept", "other"}
    handle.cancel()
    with context.scheduling_backend().entered(), get_client(sync_client=True) as client:
        found = client.read_deployment_by_name(identity)
        assert (found.tags, found.description, len(found.schedules)) == (["kept"], "kept", 1)
        service.register_flow(flows.nothing)
        found = client.read_deployment_by_name(identity)
        assert (found.tags, len(found.schedules)) == ([], 0)


def test_a_schedule(service, context, name):
    """A run that nobody started appears and does what it should, and after `delete_flow` no other."""
    schedule = Interval(timedelta(seconds=10), parameters={"x": 1})
    registration = {"flow": flows.numbers, "project_name": "by-schedule", "labels": ["nightly"]}
    if name == "local":
        with pytest.raises(BackendError, match="no schedules.*LUME_BACKEND=process"):
            service.register_flow(**registration, schedule=schedule)
        return
    identity = service.register_flow(**registration, schedule=schedule)
    backend = context.scheduling_backend()
    deadline = time.monotonic() + LONG
    while not (ended := [run for run in runs_of("by-schedule", backend) if run.state.is_final()]):
        assert time.monotonic() < deadline, "no run by schedule has ended"
        time.sleep(0.5)
    service.delete_flow(identity)
    assert backend.handle(ended[0]).result() == 6
    assert {"nightly", "auto-scheduled"} <= set(ended[0].tags)
    assert not [run for run in runs_of("by-schedule", backend) if run.state.is_scheduled()]


def test_a_step_of_the_main_job(service, context, tmp_path):
    """Its file lands in the filesystem that the jobs share, with the same content wherever it ran."""
    parameters = {"n_particle": 1000}
    identity = service.register_flow(flow=quad_scan.beam, project_name="quad_scan")
    handle = service.run(identity, parameters)
    reference = handle.result(LONG)
    assert handle.task_result("save_beam") == reference
    path = context.file_service().resolve("local", reference["filename"])
    assert path.is_relative_to(context.settings().home)
    there = load_file.fn(reference)
    with use_context(build_context(isolated_settings(tmp_path))) as other:
        here = load_file.fn(other.scheduling_service().run_and_return(quad_scan.beam, parameters))
    assert len(there) == 1000
    assert fingerprint(there) == fingerprint(here)


def test_what_is_no_flow_is_refused(service):
    with pytest.raises(NotAFlowError):
        service.run(flow=lambda: 1)


def test_kill_9_of_a_running_job(service, kill, shared):
    path = shared / "pid"
    handle = service.run(flow=flows.slow, parameters={"seconds": 300, "path": str(path)})
    kill(handle.run_id, started(path))
    with pytest.raises(FlowCrashedError):
        handle.result(LONG)
