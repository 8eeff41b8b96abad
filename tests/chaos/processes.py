"""The processes that are killed: started again each time, and looked for at the end."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

PROC = Path("/proc")
_SET_CHILD_SUBREAPER = 36


class Kept:
    """A command that is started again whenever it has ended, unless it is to end."""

    def __init__(
        self, name: str, arguments: list[str], environment: Mapping[str, str], log: Path, ready: str
    ):
        self.name = name
        self.ends = False
        """Whether it was struck, so that it will end, if it has not yet."""
        self._command = [sys.executable, "-m", "lume_services", *arguments]
        self._environment = dict(environment)
        self._log = log
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._offset = 0

    def start(self) -> None:
        """Start it, if it does not run."""
        if self._process is not None and self._process.poll() is None:
            return
        self._offset = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.ends = False

    @property
    def pid(self) -> int | None:
        """Its number, while it runs."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    @property
    def ready(self) -> bool:
        """Whether it has said, since it was started last, that it works."""
        if self.pid is None or self.ends:
            return False
        with self._log.open("rb") as log:
            log.seek(self._offset)
            return self._ready.encode() in log.read()

    def wait_until_ready(self, seconds: float = 120) -> None:
        wait_until(lambda: self.ready, f"{self.name} works", seconds, keep=self.start)

    def kill(self, number: int) -> None:
        if (pid := self.pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self, seconds: float = 60) -> None:
        self.kill(signal.SIGTERM)
        if self._process is not None:
            self._process.wait(seconds)


def wait_until(
    condition: Callable[[], bool], what: str, seconds: float, keep: Callable[[], None] = lambda: None
) -> float:
    """Wait for something, and return for how long.

    Raises:
        TimeoutError: It does not come.
    """
    begin = time.monotonic()
    while not condition():
        keep()
        if time.monotonic() - begin > seconds:
            raise TimeoutError(f"within {seconds:g} s it is not so that {what}")
        time.sleep(0.1)
    return time.monotonic() - begin


def adopt_orphans() -> None:
    """Make this process the parent of those whose parent was killed, so that none is lost from sight."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1)


def reap() -> None:
    """Do what the first process of a machine does for orphans that have ended. All others are waited for."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and those that these have; zombies, too."""
    children: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(folder.name))
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            waiting.append(child)
            yield child


def command_of(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_text().replace("\0", " ").strip() or "(a zombie)"
    except OSError:
        return ""


def size_of(pid: int) -> tuple[float, int]:
    """Return the resident memory of a process in MB, and the number of its descriptors."""
    status = (PROC / str(pid) / "status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(resident.split()[1]) / 1024, len(os.listdir(PROC / str(pid) / "fd"))
