"""The fork server: imports what every job imports, then forks a process for each job that asks for one.

Its process has one thread of Python, and what it imports opens nothing, so that it can be forked. Whatever
an interpreter or a library reads from the environment while it starts must be for a job as it was here;
otherwise the job is declined, and gets an interpreter of its own.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lume_services.services.scheduling.fork_server.launch import LENGTH, NUMBER
from lume_services.services.scheduling.travelling import SPEC_VARIABLE

_LIFELINE = 0  # standard input, whose other end the worker holds
_STANDARD_STREAMS = 3
_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
_ASK_SECONDS = 10.0
_WAIT_SECONDS = 0.1
IMPORTED = ("prefect.main", "prefect.flow_engine", "lume_services.flows.jobs", "numpy")
# Read when a job begins and later, and never while its modules are imported.
_READ_LATER = ("PREFECT__", "LUME_", SPEC_VARIABLE)


@dataclass(frozen=True)
class Job:
    """What a job is started with."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]

    def run(self) -> None:
        """Become the interpreter that `python -m` with the arguments would have started."""
        from prefect.context import refresh_global_settings_context

        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        module, *rest = self.arguments
        sys.path[0] = self.folder
        sys.argv = ["-m", *rest]
        importlib.invalidate_caches()
        refresh_global_settings_context()
        sys.modules["numpy"].random.seed()  # the generators of all jobs would draw the same numbers
        sys.modules.pop(module, None)
        runpy.run_module(module, run_name="__main__", alter_sys=True)


@dataclass(frozen=True)
class _Running:
    """The process of a job, as a file descriptor, and the connection of the one that stands for it."""

    process: int
    connection: socket.socket

    def close(self) -> None:
        """Close both here."""
        os.close(self.process)
        self.connection.close()


class Serving:
    """Forks until the worker has gone and the last job has ended.

    Args:
        listener: Where the processes that stand for jobs ask.
        environment: What was the environment when the first module was imported.
    """

    def __init__(self, listener: socket.socket, environment: Mapping[str, str]) -> None:
        self._listener = listener
        self._environment = _read_at_start(environment)
        self._process = os.getpid()
        self._running: set[_Running] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(_LIFELINE, selectors.EVENT_READ)

    def serve(self) -> Job | None:
        """Return the job in each process that is forked; and nothing in this one, at its end."""
        while self._selector.get_map():
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    if job := self._accept():
                        return job
                elif key.fileobj == _LIFELINE:
                    self._take_no_more()
                elif key.fileobj == key.data.process:
                    self._tell_the_end(key.data)
                else:
                    self._kill(key.data)
        return None

    def _accept(self) -> Job | None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # too many files are open: the job waits until another one has ended
            time.sleep(_WAIT_SECONDS)
            return None
        streams: list[int] = []
        try:
            connection.settimeout(_ASK_SECONDS)
            job = _request(connection, streams)
            if _read_at_start(job.environment) != self._environment or _looks_around(job.environment):
                raise ConnectionRefusedError
            streams.append(os.dup(_LIFELINE))  # keeps a number for the descriptor of the process
            pid = os.fork()
        except OSError:
            pid = None  # closed without an answer, the job gets an interpreter of its own
        if pid == 0:
            self._leave(connection, streams)
            return job
        for stream in streams:
            os.close(stream)
        if pid is None:
            connection.close()
        else:
            self._watch(pid, _Running(os.pidfd_open(pid), connection))
        return None

    def _leave(self, connection: socket.socket, streams: Sequence[int]) -> None:
        os.setpgid(0, 0)  # what a job sends to its group is not for the others
        _end_with_parent(self._process)
        self._selector.close()
        self._listener.close()
        connection.close()
        for running in self._running:
            running.close()
        for number, stream in enumerate(streams):
            if number < _STANDARD_STREAMS:
                os.dup2(stream, number)
            os.close(stream)

    def _watch(self, pid: int, running: _Running) -> None:
        self._running.add(running)
        self._selector.register(running.process, selectors.EVENT_READ, running)
        self._selector.register(running.connection, selectors.EVENT_READ, running)
        self._tell(running, pid)

    def _tell(self, running: _Running, number: int) -> None:
        with suppress(OSError):  # who stands for the job has been killed, which `_kill` sees
            running.connection.sendall(NUMBER.pack(number))

    def _tell_the_end(self, running: _Running) -> None:
        ended = os.waitid(os.P_PIDFD, running.process, os.WEXITED)
        if ended is not None:
            self._tell(running, ended.si_status * (1 if ended.si_code == os.CLD_EXITED else -1))
        self._selector.unregister(running.process)
        if running.connection in self._selector.get_map():
            self._selector.unregister(running.connection)
        self._running.remove(running)
        running.close()

    def _kill(self, running: _Running) -> None:
        self._selector.unregister(running.connection)
        signal.pidfd_send_signal(running.process, signal.SIGKILL)

    def _take_no_more(self) -> None:
        self._selector.unregister(_LIFELINE)
        self._selector.unregister(self._listener)
        self._listener.close()


def _end_with_parent(parent: int) -> None:
    """Have this process killed when its parent ends: nobody could tell how it ends."""
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_READ_LATER)}


def _looks_around(environment: Mapping[str, str]) -> bool:
    """Tell whether modules are looked for relative to the working directory, which is not that of the job."""
    path = environment.get("PYTHONPATH")
    return bool(path) and not all(map(os.path.isabs, str(path).split(os.pathsep)))


def _request(connection: socket.socket, streams: list[int]) -> Job:
    """Return what is asked for; its standard streams are added to `streams`.

    Raises:
        OSError: It does not come, or not whole.
    """
    header, received, _, _ = socket.recv_fds(connection, LENGTH.size, _STANDARD_STREAMS)
    streams.extend(received)
    if len(header) < LENGTH.size or len(received) < _STANDARD_STREAMS:
        raise ConnectionAbortedError
    (length,) = LENGTH.unpack(header)
    with connection.makefile("rb") as stream:
        request = stream.read(length)
    if len(request) < length:
        raise ConnectionAbortedError
    return Job(**json.loads(request))


def main() -> None:
    """Serve, and run the job in each process that is forked."""
    environment = dict(os.environ)
    for name in IMPORTED:
        importlib.import_module(name)
    sys.stdout.flush()  # or each job would print it once more
    gc.collect()
    gc.freeze()  # so that collections in the jobs copy no memory of this process
    listener, folder, lock = sys.argv[1:]
    if job := Serving(socket.socket(fileno=int(listener)), environment).serve():
        os.close(int(lock))
        job.run()
    else:
        shutil.rmtree(folder, ignore_errors=True)  # the worker, if it lives, does the same


if __name__ == "__main__":
    main()
