"""Scans on the local backend: worker processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from lume_services.config import LUMEServicesSettings
from lume_services.config.environment import job_environment
from lume_services.config.problems import variable
from lume_services.config.variables import PREFIX
from lume_services.errors import BackendError
from lume_services.flows.scans.job import Chunk, Job, progress_of, to_text
from lume_services.flows.scans.pool import Finished, Part, Pool
from lume_services.flows.scans.stored import PointStore
from lume_services.flows.scans.worker import COMMAND, END, FATAL, READY

_SECONDS_TO_STOP = 5.0
_LARGEST_CHUNK = 500
_CHUNKS_PER_WORKER = 2  # one runs, the next waits for it
_WAKE_UP_SECONDS = 0.2


class _Worker:
    """A process, and the chunks that it was given, the first of which it runs."""

    def __init__(self, job: Job, environment: Mapping[str, str]) -> None:
        self.chunks: dict[int, Part] = {}
        self.ready = False
        self.connection, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
                [sys.executable, "-c", COMMAND, str(theirs.fileno()), *_module_path()],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what flows print is no output of the scan
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is for the scan, which then stops its workers
            )
        self.send(to_text(job).encode())

    def send(self, message: bytes) -> None:
        try:
            self.connection.send_bytes(message)
        except OSError:
            return  # it has died, which is seen when it is listened to

    def received(self) -> Iterator[str]:
        """Yield the messages that are there. The connection is closed if the process has died."""
        try:
            while self.connection.poll():
                yield self.connection.recv_bytes().decode()
        except (EOFError, OSError):
            self.connection.close()

    def ended(self) -> str:
        """End the process for certain, and return how it ended."""
        if self.connection.closed:  # it is about to end by itself
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_SECONDS_TO_STOP)
        self.process.kill()
        code = self.process.wait()
        self.connection.close()
        return f"exit code {code}" if code >= 0 else signal.strsignal(-code) or f"signal {-code}"


class LocalPool(Pool):
    """Runs points of a scan in processes of their own on this machine.

    A process is started when there is work for it. One that dies is replaced. The points that it was running
    run again, each alone; one at which a process dies again has failed.

    Args:
        job: The scan.
        store: Takes the points at which processes die.
        settings: Of this process; the workers get the same.
        limit: At most so many processes.
    """

    seconds_per_chunk: ClassVar[float] = 1.0

    def __init__(self, job: Job, store: PointStore, settings: LUMEServicesSettings, limit: int) -> None:
        super().__init__(job, store, limit, _LARGEST_CHUNK)
        self._environment = _environment(settings)
        self._workers: list[_Worker] = []

    @override
    def close(self) -> None:
        """Let the workers store what they have, and end them; within seconds, whatever they do."""
        try:
            for worker in self._workers:
                worker.send(END)
            deadline = time.monotonic() + _SECONDS_TO_STOP
            for worker in self._workers:
                while not worker.connection.closed and time.monotonic() < deadline:
                    wait([worker.connection], timeout=_WAKE_UP_SECONDS)
                    deque(worker.received(), maxlen=0)  # one whose messages are not taken does not end
        finally:
            for worker in self._workers:
                worker.ended()
            self._workers.clear()

    @property
    @override
    def _has_room(self) -> bool:
        free = len(self._workers) < self._limit
        return free or any(len(worker.chunks) < _CHUNKS_PER_WORKER for worker in self._workers)

    @property
    @override
    def _runs(self) -> bool:
        return any(worker.chunks for worker in self._workers)

    @override
    def _submit(self, part: Part) -> None:
        idle = [worker for worker in self._workers if not worker.chunks]
        if not idle and len(self._workers) < self._limit:
            idle = [_Worker(self._job, self._environment)]
            self._workers += idle
        worker = idle[0] if idle else min(self._workers, key=lambda worker: len(worker.chunks))
        self._chunks += 1
        worker.chunks[self._chunks] = part
        points = [planned.point for planned in part.points.values()]
        worker.send(to_text(Chunk(self._chunks, points)).encode())

    @override
    def _heard(self) -> Iterator[Finished]:
        wait([worker.connection for worker in self._workers], timeout=_WAKE_UP_SECONDS)
        for worker in list(self._workers):
            # Asked first: what a process has sent before its end is still there to be read.
            died = worker.process.poll() is not None
            for message in worker.received():
                yield from self._told(worker, message)
            if died or worker.connection.closed:
                yield from self._died(worker)

    def _told(self, worker: _Worker, message: str) -> Iterator[Finished]:
        if message.startswith(FATAL):
            raise BackendError(
                f"the worker process {worker.process.pid} of the scan cannot go on: "
                f"{message.removeprefix(FATAL)}"
            )
        if message == READY:
            worker.ready = True
            return
        progress = progress_of(message)
        part = worker.chunks[progress.chunk]
        stored = [part.points.pop(index) for index in progress.stored]
        failed = [(part.points.pop(found.index), found) for found in progress.failed]
        if progress.rate is not None:
            del worker.chunks[progress.chunk]
            self._adapt(progress.rate)
        if stored or failed:
            yield Finished(stored, failed=failed)

    def _died(self, worker: _Worker) -> Iterator[Finished]:
        self._workers.remove(worker)
        how = worker.ended()
        if not worker.ready:
            raise BackendError(
                f"a worker process of the scan did not start: {how}.",
                remedy="What it printed before is on standard error.",
            )
        running = next(iter(worker.chunks.values()), Part({}))
        for part in worker.chunks.values():
            if part is not running:
                self._again.append(part)
            elif part.again:
                error = f"the process ended at this point, twice: {how}."
                yield Finished(failed=[self._lost(planned, error) for planned in part.points.values()])
            else:
                self._again.extend(Part({0: planned}, again=True) for planned in part.points.values())


def _module_path() -> list[str]:
    """Return where this process looks for modules."""
    return [entry or str(Path.cwd()) for entry in sys.path]


def _environment(settings: LUMEServicesSettings) -> dict[str, str]:
    """Return an environment that gives a process on this machine the settings of this one."""
    found = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    # Each process has a core; with a thread for each core besides, they would wait for each other.
    found.setdefault("OMP_NUM_THREADS", "1")
    found |= job_environment(settings, os.environ)
    if settings.prefect.api_url is not None:
        found[variable(("prefect", "api_url"))] = settings.prefect.api_url
    if settings.prefect.api_auth_string is not None:
        found[variable(("prefect", "api_auth_string"))] = settings.prefect.api_auth_string.get_secret_value()
    return found
