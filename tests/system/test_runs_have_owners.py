"""Every run has one owner until it begins, and begins once: whoever is stopped, killed or late."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import backend_flows as flows
import pytest
import servers_prefect
from prefect import flow
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import Abort
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Failed, Pending, Running, Scheduled

from lume_services.config import build_context, close_context, use_context
from lume_services.errors import FlowCrashedError, NoWorkerError
from lume_services.services.scheduling import claims
from lume_services.services.scheduling.backends.server_api import ServerAPI
from lume_services.services.scheduling.claims import BEGINNING, Beginning, claim, give_back, give_up

pytestmark = pytest.mark.system

TESTS = Path(__file__).parent.parent
LONG = 120


@pytest.fixture
def client():
    with ServerAPI(servers_prefect.session_server().url, None).client() as client:
        yield client


@pytest.fixture
def environment(tmp_path):
    return {
        **servers_prefect.clean_environment(tmp_path / "prefect"),
        "LUME_HOME": str(tmp_path / "lume"),
        "LUME_BACKEND": "process",
        "LUME_PREFECT__API_URL": servers_prefect.session_server().url,
        "LUME_PREFECT__WORK_POOL": tmp_path.name,
        "LUME_WORKER__RECONCILE_SECONDS": "1",
        "PYTHONPATH": str(TESTS),
    }


@pytest.fixture
def service(environment):
    prefect = {
        "api_url": environment["LUME_PREFECT__API_URL"],
        "work_pool": environment["LUME_PREFECT__WORK_POOL"],
        "start_timeout_seconds": LONG,
    }
    context = build_context({"home": environment["LUME_HOME"], "backend": "process", "prefect": prefect})
    with use_context(context):
        yield context.scheduling_service()
    close_context(context)


@contextmanager
def worker(environment, log):
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lume_services", "worker", "start"],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "takes process runs" in log.read_text())
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)


def wait_until(condition, seconds=LONG):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.05)


def begins(path):
    """The values of the runs that have begun."""
    return Counter(int(line.split()[1]) for line in path.read_text().splitlines()) if path.exists() else {}


def job(environment, run_id, name="noted"):
    """Start what a worker starts for a run."""
    return subprocess.Popen(
        [sys.executable, "-m", "prefect.flow_engine", f"lume_services.flows.jobs.backend_flows/{name}"],
        env={
            **environment,
            "PREFECT_API_URL": environment["LUME_PREFECT__API_URL"],
            "PREFECT__FLOW_RUN_ID": run_id,
        },
        stderr=subprocess.DEVNULL,
    )


@flow
def plain():
    return None


def new_run(client, state=None):
    return client.create_flow_run(plain, state=state or Pending()).id


# one owner ---------------------------------------------------------------------------------------


def test_of_many_who_want_a_run_one_gets_it(client):
    run = new_run(client)
    api = ServerAPI(servers_prefect.session_server().url, None)

    def want(number):
        with api.client() as own:
            return claim(own, run, f"number {number}")

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(want, range(24))) == 1
    assert client.read_flow_run(run).state.name == BEGINNING


@pytest.mark.parametrize("state", [Running, Cancelling, Cancelled, Completed, Failed, Crashed])
def test_a_run_that_has_begun_or_ended_is_nobodys_to_begin(client, state):
    run = new_run(client)
    client.set_flow_run_state(run, state(message="as it was"), force=True)
    assert not claim(client, run, "late")
    now = client.read_flow_run(run).state
    assert (now.type, now.message) == (state().type, "as it was")


@pytest.mark.parametrize("state", [Scheduled, Pending, lambda: Pending(name="Submitting")])
def test_a_run_that_was_given_up_never_begins(client, state):
    run = new_run(client, state())
    assert give_up(client, run, "nobody wants it")
    with pytest.raises(Abort):
        Beginning(client, run)
    now = client.read_flow_run(run).state
    assert (now.name, now.message) == ("Cancelled", "nobody wants it")


def test_a_run_that_is_given_up_is_cancelled_through_its_job_where_it_has_one(client):
    run = new_run(client)
    client.update_flow_run(run, infrastructure_pid="cluster:job")
    assert give_up(client, run, "nobody wants it")
    assert client.read_flow_run(run).state.is_cancelling()
    with pytest.raises(Abort):
        Beginning(client, run)
    assert client.read_flow_run(run).state.is_cancelled()


def test_a_run_that_begins_is_not_given_up_nor_back(client):
    run = new_run(client)
    Beginning(client, run)
    for _ in range(2):
        assert not give_up(client, run, "nobody wants it")
        assert not give_back(client, run, "for another")
        client.set_flow_run_state(run, Running())


def test_a_job_that_was_held_up_does_not_begin(client, monkeypatch):
    run = new_run(client)
    beginning = Beginning(client, run)
    client.set_flow_run_state(run, Running())
    monkeypatch.setattr(claims, "BEGIN_SECONDS", 0)
    with pytest.raises(Abort):
        beginning.check(client.read_flow_run(run).state)
    assert client.read_flow_run(run).state.is_scheduled()
    beginning.check(None)  # a flow that is retried has begun before


def test_a_job_that_was_held_up_leaves_the_run_to_another(client, monkeypatch):
    run = new_run(client)
    beginning = Beginning(client, run)
    client.set_flow_run_state(run, Running())
    mine = client.read_flow_run(run).state
    client.set_flow_run_state(run, Running(), force=True)
    monkeypatch.setattr(claims, "BEGIN_SECONDS", 0)
    with pytest.raises(Abort):
        beginning.check(mine)
    assert client.read_flow_run(run).state.is_running()


@pytest.mark.parametrize("name", ["noted", "noted_async"])
def test_of_many_jobs_of_a_run_one_begins(service, environment, tmp_path, name):
    path = tmp_path / "begins"
    parameters = {"path": str(path), "value": 3, "seconds": 2}
    handle = service.run(flow=getattr(flows, name), parameters=parameters)
    jobs = [job(environment, handle.run_id, name) for _ in range(3)]
    assert [one.wait(LONG) for one in jobs] == [0] * 3
    assert handle.result(LONG) == 3
    assert begins(path) == {3: 1}


def test_what_a_caller_was_told_did_not_start_never_starts(service, environment, tmp_path):
    path = tmp_path / "begins"
    handle = service.run(flow=flows.noted, parameters={"path": str(path), "value": 3})
    with pytest.raises(NoWorkerError):
        handle.check_start(2 * LONG)
    assert job(environment, handle.run_id).wait(LONG) == 0
    with worker(environment, tmp_path / "log"):
        again = service.run(flow=flows.noted, parameters={"path": str(path), "value": 4})
        assert again.result(LONG) == 4
    assert begins(path) == {4: 1}
    assert handle.state.is_cancelled()


# workers that stop -------------------------------------------------------------------------------


def test_a_worker_that_is_told_to_stop_gives_back_what_has_not_begun(service, environment, tmp_path, client):
    path = tmp_path / "begins"
    with worker(environment, tmp_path / "first") as first:
        handles = [
            service.run(flow=flows.noted, parameters={"path": str(path), "value": value, "seconds": 600})
            for value in range(8)
        ]
        wait_until(lambda: sum(begins(path).values()) >= 2)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0
    begun = set(begins(path))
    for value, handle in enumerate(handles):
        states = client.read_flow_run_states(UUID(handle.run_id))
        if any(state.is_running() for state in states):
            with pytest.raises(FlowCrashedError, match="its worker, which was stopped"):
                handle.result(LONG)
        else:
            assert value not in begun
            assert states[-1].is_scheduled()
            handle.cancel()
            assert handle.wait(LONG).is_cancelled()
    with worker(environment, tmp_path / "second"):
        again = service.run(flow=flows.noted, parameters={"path": str(path), "value": 100})
        assert again.result(LONG) == 100
    assert begins(path) == dict.fromkeys({*begun, 100}, 1)


def test_another_worker_carries_on_what_a_stopped_one_gave_back(service, environment, tmp_path):
    path = tmp_path / "begins"
    with worker(environment, tmp_path / "first") as first:
        handles = [
            service.run(flow=flows.noted, parameters={"path": str(path), "value": value})
            for value in range(8)
        ]
        wait_until(lambda: any(not handle.state.is_scheduled() for handle in handles))
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 0
    with worker(environment, tmp_path / "second"):
        states = [handle.wait(LONG) for handle in handles]
    for value, (handle, state) in enumerate(zip(handles, states, strict=True)):
        if state.is_completed():
            assert handle.result() == value
        else:  # it had begun
            assert state.message == "Its job ended with its worker, which was stopped."
    assert sum(state.is_completed() for state in states) >= 4
    assert set(begins(path).values()) == {1}


# workers that are killed -------------------------------------------------------------------------


def kill_all(process):
    """Kill a worker, its fork server and the processes that stand for its jobs, at once."""
    tree = [process.pid]
    for parent in tree:
        tree += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    for pid in tree:
        os.kill(pid, signal.SIGKILL)
    process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_another_worker_ends_what_had_begun_and_begins_what_had_not(service, environment, tmp_path, client):
    path = tmp_path / "begins"
    with worker(environment, tmp_path / "first") as first:
        running = service.run(flow=flows.noted, parameters={"path": str(path), "value": 0, "seconds": 600})
        wait_until(lambda: begins(path))
        (holder,) = [
            label for name, label in labels_of(client, running).items() if name == "lume-services.holder"
        ]
        kill_all(first)
    waiting = service.run(flow=flows.noted, parameters={"path": str(path), "value": 1})
    client.update_flow_run_labels(UUID(waiting.run_id), {"lume-services.holder": holder})
    client.set_flow_run_state(UUID(waiting.run_id), Pending(name="Submitting"))
    with worker(environment, tmp_path / "second"):
        with pytest.raises(FlowCrashedError, match="its worker has gone, and so has its process"):
            running.result(LONG)
        assert waiting.result(LONG) == 1
    assert begins(path) == {0: 1, 1: 1}


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_job_goes_on_without_its_worker_and_can_be_cancelled(service, environment, tmp_path):
    path = tmp_path / "begins"
    with worker(environment, tmp_path / "first") as first:
        parameters = {"path": str(path), "value": 0}
        ends = service.run(flow=flows.noted, parameters={**parameters, "seconds": 25})
        wait_until(lambda: begins(path))
        endless = service.run(flow=flows.noted, parameters={**parameters, "value": 1, "seconds": 600})
        wait_until(lambda: len(begins(path)) == 2)
        first.kill()
        first.wait()
    with worker(environment, tmp_path / "second"):
        endless.cancel()
        assert endless.wait(LONG).is_cancelled()
        assert ends.result(LONG) == 0
    assert begins(path) == {0: 1, 1: 1}


PARENT = """
import sys
import backend_flows as flows
from lume_services.flows import FlowOfFlows
FlowOfFlows.from_yaml(flows.COUNTED, flows=[flows.counted, flows.double_of]).run()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_caller_that_is_killed_has_crashed_and_what_it_sent_goes_on(environment, tmp_path, client, service):
    counted = Path(environment["LUME_HOME"]) / "counted"
    with worker(environment, tmp_path / "log"):
        caller = subprocess.Popen([sys.executable, "-c", PARENT], env=environment)
        wait_until(counted.exists)
        caller.kill()
        caller.wait()
        place = str(caller.pid)
        found = []

        def ended():
            found[:] = [
                run
                for run in client.read_flow_runs(limit=200, sort=FlowRunSort.ID_DESC)
                if run.labels.get("lume-services.holder", "").split()[-2:-1] == [place]
            ]
            return all(run.state.is_final() for run in found)

        wait_until(lambda: ended() and found)
        (parent,) = found
        assert (parent.state.name, parent.state.message) == ("Crashed", "the process that ran it has gone")
        wait_until(lambda: all(run.state.is_final() for run in children_of(client, parent)))
        assert [run.state.name for run in children_of(client, parent)] == ["Completed"]
    assert counted.read_text() == "ran\n"


def children_of(client, parent):
    wanted = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[parent.id]))
    return client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=200)


def labels_of(client, handle):
    return client.read_flow_run(UUID(handle.run_id)).labels
