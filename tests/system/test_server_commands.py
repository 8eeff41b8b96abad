"""`lume-services server start`, `worker start` and `runs reconcile`, as an operator uses them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import backend_flows as flows
import pytest
import servers
import servers_postgresql
import servers_prefect

from lume_services.config import build_context, close_context, use_context
from lume_services.errors import FlowCrashedError

pytestmark = pytest.mark.system

TESTS = Path(__file__).parent.parent
PROGRAM = [sys.executable, "-m", "lume_services"]


@contextmanager
def program(*arguments, environment, log):
    """A command that runs until the block ends, in a process group of its own."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*PROGRAM, *arguments], env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def wait_for(text, log, seconds=90):
    deadline = time.monotonic() + seconds
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def ask(url, path, body):
    request = Request(f"{url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


def environment_of(folder, url):
    return {
        **servers_prefect.clean_environment(folder / "prefect"),
        "LUME_HOME": str(folder / "lume"),
        "LUME_BACKEND": "process",
        "LUME_PREFECT__API_URL": url,
        "LUME_PREFECT__WORK_POOL": folder.name,
        "PYTHONPATH": str(TESTS),
    }


def test_a_server_that_is_told_to_stop_stops(tmp_path):
    servers_prefect.session_server()
    port = servers.free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = environment_of(tmp_path, url)
    log = tmp_path / "log"
    with program("server", "start", "--port", str(port), environment=environment, log=log) as server:
        wait_for("Use it: export", log)
        automations = ask(url, "automations/filter", {})
        assert [one["name"] for one in automations] == ["lume-services: a run without heartbeats has crashed"]
        begin = time.monotonic()
        server.terminate()
        assert server.wait(30) == 0
        assert time.monotonic() - begin < 25


def answers(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until_silent(port):
    deadline = time.monotonic() + 20
    while answers(port):
        assert time.monotonic() < deadline, "something listens on the port still"
        time.sleep(0.05)


def test_a_server_ends_with_a_command_that_is_killed(tmp_path):
    servers_prefect.session_server()
    port = servers.free_port()
    environment = environment_of(tmp_path, f"http://127.0.0.1:{port}/api")
    command = ("server", "start", "--port", str(port))
    with program(*command, environment=environment, log=tmp_path / "log") as server:
        wait_for("Use it: export", tmp_path / "log")
        with program(*command, environment=environment, log=tmp_path / "second") as second:
            assert second.wait(60) == 1
        assert "cannot listen on" in (tmp_path / "second").read_text()
        assert "Use it" not in (tmp_path / "second").read_text()
        server.kill()
        server.wait()
        wait_until_silent(port)


@pytest.mark.skipif(sys.platform != "linux", reason="the children of a process are read from /proc")
def test_a_server_that_is_killed_ends_its_command_with_an_error(tmp_path):
    servers_prefect.session_server()
    port = servers.free_port()
    environment = environment_of(tmp_path, f"http://127.0.0.1:{port}/api")
    log = tmp_path / "log"
    with program("server", "start", "--port", str(port), environment=environment, log=log) as server:
        wait_for("Use it: export", log)
        (real,) = children_of(server.pid)
        os.kill(real, signal.SIGKILL)
        assert server.wait(30) == 1
    assert "has ended by itself: Killed" in log.read_text()


def children_of(pid):
    return [int(found) for found in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("database", ["sqlite+aiosqlite:////tmp/prefect.db", "mysql://u:pa55word@h/d"])
def test_a_database_that_locks_itself_is_refused(tmp_path, database):
    command = [*PROGRAM, "server", "start", "--database", database]
    environment = environment_of(tmp_path, "http://127.0.0.1:9/api")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "postgresql+asyncpg://" in done.stderr
    assert "pa55word" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_without_a_server_says_so(tmp_path):
    environment = environment_of(tmp_path, "http://127.0.0.1:9/api")
    command = [*PROGRAM, "worker", "start"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "does not answer" in done.stderr
    assert "http://127.0.0.1:9/api" in done.stderr
    assert "Traceback" not in done.stderr


def started(pid, log):
    """Wait for the flow `slow` and return its process."""
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return int(pid.read_text())


@contextmanager
def context_of(environment):
    """The container of a caller with the same configuration, which is the current one in the block."""
    prefect = {
        "api_url": environment["LUME_PREFECT__API_URL"],
        "work_pool": environment["LUME_PREFECT__WORK_POOL"],
    }
    context = build_context({"home": environment["LUME_HOME"], "backend": "process", "prefect": prefect})
    with use_context(context):
        yield context
    close_context(context)


def test_a_server_that_restarts_in_the_middle_of_a_run(tmp_path):
    """On PostgreSQL nothing is forgotten: the run goes on, and its caller gets a true answer."""
    port = servers.free_port()
    environment = environment_of(tmp_path, f"http://127.0.0.1:{port}/api")
    environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = servers_postgresql.session_server().url
    log, pid = tmp_path / "log", tmp_path / "pid"
    server = ("server", "start", "--port", str(port))
    with (
        context_of(environment) as context,
        program(*server, environment=environment, log=log) as first,
    ):
        wait_for("Use it: export", log)
        with program("worker", "start", environment=environment, log=tmp_path / "worker"):
            wait_for("takes process runs", tmp_path / "worker")
            parameters = {"seconds": 12, "path": str(pid)}
            handle = context.scheduling_service().run(flow=flows.slow, parameters=parameters)
            started(pid, tmp_path / "worker")
            first.terminate()
            first.wait(30)
            with program(*server, environment=environment, log=tmp_path / "again"):
                wait_for("Use it: export", tmp_path / "again")
                assert handle.result(120) == "done"
    assert servers_postgresql.PASSWORD not in log.read_text() + (tmp_path / "worker").read_text()


def test_runs_of_a_killed_worker_are_reconciled(tmp_path):
    """Worker and job are killed at once: the server would show the run as running for ever."""
    url = servers_prefect.session_server().url
    environment = environment_of(tmp_path, url)
    log, pid = tmp_path / "log", tmp_path / "pid"
    with (
        context_of(environment) as context,
        program("worker", "start", environment=environment, log=log) as worker,
    ):
        wait_for("takes process runs", log)
        handle = context.scheduling_service().run(
            flow=flows.slow, parameters={"seconds": 300, "path": str(pid)}
        )
        job = started(pid, log)
        os.killpg(worker.pid, signal.SIGKILL)
        os.kill(job, signal.SIGKILL)
        worker.wait()
        assert handle.state.is_running()
        time.sleep(2.5)
        done = subprocess.run(
            [*PROGRAM, "runs", "reconcile", "--silent-for", "2", "--json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        (ended,) = [run for run in json.loads(done.stdout) if run["run_id"] == handle.run_id]
        assert (ended["before"], ended["after"]) == ("Running", "Crashed")
        with pytest.raises(FlowCrashedError, match="no sign of life"):
            handle.result(10)
