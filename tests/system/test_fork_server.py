"""A job that is forked is the same as one in an interpreter of its own, and ends the same way."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lume_services.services.scheduling.fork_server import ForkServer, serve
from lume_services.services.scheduling.fork_server.folder import worker_folder

TESTS = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux alone")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("prefect")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "LUME_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PREFECT_HOME": str(home), "PATH": path, "PYTHONPATH": str(TESTS)}


@pytest.fixture(scope="module")
def forks(environment: dict[str, str]) -> Iterator[ForkServer]:
    with ForkServer(environment) as server:
        yield server


def start(command: str, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        shlex.split(command), cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def run(command: str, folder: Path, environment: dict[str, str]) -> tuple[int, str, str]:
    with start(command, folder, environment) as process:
        out, err = process.communicate("given", timeout=60)
    return process.returncode, out, err


def told(forks: ForkServer, what: str, folder: Path, environment: dict[str, str]) -> object:
    code, out, err = run(forks.command(f"python -m forked_job {what}"), folder, environment)
    assert code == 0, err
    return json.loads(out)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def wait_until_dead(pid: int) -> None:
    deadline = time.monotonic() + 20
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} goes on"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "what", ["surroundings", "opened", "leave 0", "leave 3", "kill 9", "kill 15", "kill 11"]
)
def test_it_is_as_with_an_interpreter_of_its_own(forks, tmp_path, environment, what):
    given = {**environment, "PREFECT__FLOW_RUN_ID": "1", "LUME_HOME": str(tmp_path), "LUME_Ä": "\udcff"}
    own = run(f"{sys.executable} -m forked_job {what}", tmp_path, given)
    assert run(forks.command(f"python -m forked_job {what}"), tmp_path, given) == own


def test_an_exception_is_shown(forks, tmp_path, environment):
    code, _, err = run(forks.command("python -m forked_job fail"), tmp_path, environment)
    assert code == 1
    assert err.endswith("ValueError: beam lost\n")


def test_it_is_forked_and_leads_a_group_of_its_own(forks, tmp_path, environment):
    (first, leads), (second, _) = (told(forks, "parent", tmp_path, environment) for _ in range(2))
    assert first == second  # the server
    assert leads


def test_no_two_jobs_draw_the_same_numbers(forks, tmp_path, environment):
    drawn = [told(forks, "draw", tmp_path, environment) for _ in range(3)]
    for numbers in zip(*drawn, strict=True):
        assert len(set(numbers)) == 3


def test_many_at_the_same_time(forks, tmp_path, environment):
    with ThreadPoolExecutor(20) as pool:
        codes = pool.map(
            lambda n: run(forks.command(f"python -m forked_job leave {n}"), tmp_path, environment)[0],
            range(40),
        )
    assert list(codes) == list(range(40))


def test_a_large_environment(forks, tmp_path, environment):
    large = {f"LUME_{n}": "x" * 100_000 for n in range(8)}
    there = told(forks, "surroundings", tmp_path, {**environment, **large})
    assert large.items() <= there["environment"].items()


@pytest.mark.parametrize(
    "changed", [{"OMP_NUM_THREADS": "1"}, {"PYTHONHASHSEED": "7"}, {"PREFECT_LOGGING_LEVEL": "ERROR"}]
)
def test_what_is_read_at_the_start_of_python_gets_a_new_one(forks, tmp_path, environment, changed):
    server, _ = told(forks, "parent", tmp_path, environment)
    other = {**environment, **changed}
    assert told(forks, "parent", tmp_path, other)[0] != server
    assert changed.items() <= told(forks, "surroundings", tmp_path, other)["environment"].items()


def test_a_relative_place_of_modules_is_that_of_the_job(tmp_path, environment):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "beside.py").write_text("print(__file__)")
    relative = {**environment, "PYTHONPATH": f"{TESTS}{os.pathsep}src"}
    with ForkServer(relative) as forks:
        code, out, _ = run(forks.command("python -m beside"), tmp_path, relative)
    assert (code, out) == (0, f"{tmp_path}/src/beside.py\n")


def test_settings_of_prefect_in_the_folder_count(forks, tmp_path, environment):
    (tmp_path / "prefect.toml").write_text("[logging]\nlevel = 'ERROR'\n")
    (tmp_path / "level.py").write_text(
        "from prefect.settings import get_current_settings\nprint(get_current_settings().logging.level)"
    )
    assert run(forks.command("python -m level"), tmp_path, environment)[:2] == (0, "ERROR\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_reaches_the_job(forks, tmp_path, environment, number):
    with start(forks.command("python -m forked_job sleep"), tmp_path, environment) as process:
        pid = json.loads(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(20) == -number
    assert not is_alive(pid)


def test_a_job_is_killed_with_the_process_that_stands_for_it(forks, tmp_path, environment):
    with start(forks.command("python -m forked_job sleep"), tmp_path, environment) as process:
        pid = json.loads(process.stdout.readline())
        process.kill()
        wait_until_dead(pid)
    assert told(forks, "draw", tmp_path, environment)  # the server goes on


@pytest.mark.parametrize("sent", [b"", b"\0\0", struct.pack("!Q", 100) + b"{}"])
def test_who_is_killed_while_it_asks_harms_nobody(forks, tmp_path, environment, sent):
    address = shlex.split(forks.command("python -m forked_job draw"))[3]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        if sent:
            socket.send_fds(connection, [sent], [0, 1, 2])
    assert told(forks, "draw", tmp_path, environment)


def test_where_too_many_files_are_open_jobs_wait_or_get_an_interpreter(tmp_path, environment):
    with ForkServer(environment) as forks:
        server, _ = told(forks, "parent", tmp_path, environment)
        opened = len(os.listdir(f"/proc/{server}/fd"))
        _, most = resource.prlimit(server, resource.RLIMIT_NOFILE)
        resource.prlimit(server, resource.RLIMIT_NOFILE, (opened + 8, most))
        with ThreadPoolExecutor(12) as pool:
            ends = [tmp_path / str(n) for n in range(12)]
            command = [forks.command(f"python -m forked_job end {end}") for end in ends]
            codes = pool.map(lambda one: run(one, tmp_path, environment)[0], command)
        assert list(codes) == [0] * 12
        assert all(end.exists() for end in ends)
        assert told(forks, "parent", tmp_path, environment)[0] == server
        assert len(os.listdir(f"/proc/{server}/fd")) == opened


def test_jobs_go_on_when_the_worker_is_killed(tmp_path, environment):
    code = (
        "import os, sys\nfrom lume_services.services.scheduling.fork_server import ForkServer\n"
        "with ForkServer(os.environ) as forks:\n"
        "    print(forks.command(sys.argv[1]), flush=True)\n    sys.stdin.read()\n"
    )
    end = tmp_path / "end"
    worker = [sys.executable, "-c", code, f"python -m forked_job end {end}"]
    with start(shlex.join(worker), tmp_path, environment) as worker:
        command = worker.stdout.readline()
        with start(command, tmp_path, environment) as process:
            pid = json.loads(process.stdout.readline())
            server = parent_of(pid)
            worker.kill()
            assert process.wait(20) == 0
    assert end.exists()
    wait_until_dead(server)
    assert not Path(shlex.split(command)[3]).parent.exists()


def test_a_job_ends_with_its_server_and_the_process_that_stands_for_it(tmp_path, environment):
    with (
        ForkServer(environment) as forks,
        start(forks.command("python -m forked_job sleep"), tmp_path, environment) as process,
    ):
        pid = json.loads(process.stdout.readline())
        server = parent_of(pid)
        process.send_signal(signal.SIGSTOP)  # it does nothing any more
        os.kill(server, signal.SIGKILL)
        wait_until_dead(pid)
        process.kill()


def test_what_killed_workers_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, new, other = (tmp_path / name for name in ("lume-jobs-left", "lume-jobs-new", "theirs"))
    for folder in (left, new, other):
        folder.mkdir()
        (folder / "file").touch()
    with worker_folder() as (held, _):
        for folder in (left, other, held):
            os.utime(folder, (0, 0))
        with worker_folder() as (inner, _):
            assert inner.parent == held
            monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
            with worker_folder():
                assert not left.exists()
                assert held.exists()
                assert new.exists()
                assert other.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"lume-jobs-new", "theirs"}


def test_the_worker_waits_for_its_jobs_when_it_ends(tmp_path, environment):
    with ForkServer(environment) as forks:
        process = start(forks.command(f"python -m forked_job end {tmp_path / 'end'}"), tmp_path, environment)
        server = parent_of(json.loads(process.stdout.readline()))
    assert (tmp_path / "end").exists()
    assert not is_alive(server)
    with process:
        assert process.wait(20) == 0


def test_a_job_ends_when_its_server_is_killed(tmp_path, environment):
    with ForkServer(environment) as forks:
        with start(forks.command("python -m forked_job sleep"), tmp_path, environment) as process:
            pid = json.loads(process.stdout.readline())
            server = parent_of(pid)
            os.kill(server, signal.SIGKILL)
            assert process.wait(20) == -signal.SIGKILL
        wait_until_dead(pid)
        # Those that come later get an interpreter of their own.
        assert run(forks.command("python -m forked_job leave 3"), tmp_path, environment)[0] == 3


def test_where_there_can_be_no_server_commands_stay_as_they_are(tmp_path, environment, monkeypatch, caplog):
    long = tmp_path / ("x" * 120)  # longer than the address of a socket may be
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with ForkServer(environment) as forks:
        assert forks.command("python -m forked_job leave 3") == "python -m forked_job leave 3"
    assert "Each job gets an interpreter of its own" in caplog.text
    assert list(long.iterdir()) == []


def test_other_commands_are_left_alone(forks):
    for command in ("", "bash -c 'python -m job'", "python job.py", "/usr/bin/python3 -m job"):
        assert forks.command(command) == command


def test_what_is_imported_beforehand_starts_no_thread_of_python_and_opens_nothing(tmp_path, environment):
    imports = "; ".join(f"import {name}" for name in serve.IMPORTED)
    count = "print(threading.active_count(), sorted(os.listdir('/proc/self/fd')))"
    code = f"import os, threading; {imports}; {count}"
    out = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert out == "1 ['0', '1', '2', '3']\n"  # the last is that of the list itself
