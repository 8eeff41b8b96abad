"""Runs the mutations of a target in child processes, and tells which failed and how."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fuzz.target import Target

_STANDS_STILL_SECONDS = 180  # under load, too; a child that computes ends itself before
_MOST_FAILURES = 20
_TESTS = Path(__file__).parent.parent


@dataclass(frozen=True)
class Failure:
    """A mutation that was not refused as it should be.

    Attributes:
        target: The name of the target.
        number: Of the mutation; below zero one of those that are kept.
        what: The traceback, the signal, or the memory.
        kept: The file with the input.
    """

    target: str
    number: int
    what: str
    kept: Path

    def __str__(self) -> str:
        return f"{self.target} {self.number}: {self.what}\n  python -m fuzz.again {self.target} {self.kept}"


def run(target: Target, count: int, keep: Path) -> list[Failure]:
    """Read mutations 0 to `count` of a target, and what is kept of earlier failures.

    Args:
        target: The target.
        count: How many mutations.
        keep: Where the inputs of failures go.
    """
    failures: list[Failure] = []
    first = 0
    while first < count and len(failures) < _MOST_FAILURES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            ended = _child(target, first, count, folder)
            failures += _noted(target, folder, keep)
            if ended is None:
                break
            if not (folder / "input").exists():
                raise RuntimeError(f"the target {target.name} does not start: {ended}")
            at = int((folder / "at").read_text())
            failures.append(Failure(target.name, at, ended, _keep(folder / "input", target, at, keep)))
        first = max(at + 1, 1)
    return failures


def _child(target: Target, first: int, last: int, folder: Path) -> str | None:
    """Run one child; return how it ended, or None where it came to its end."""
    command = [sys.executable, "-m", "fuzz.child", target.name, str(first), str(last), str(folder)]
    paths = os.pathsep.join([str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    home = folder / "home"
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths, "LUME_HOME": str(home)},
        )
        try:
            stands_still = _watch(process, folder / "at")
        finally:
            process.kill()
            process.wait()
    if stands_still:
        return f"it stood still for {_STANDS_STILL_SECONDS} s"
    if process.returncode == -signal.SIGPROF:
        return "it computed without an end"
    if process.returncode < 0:
        return f"{signal.Signals(-process.returncode).name} ended the process"
    return (folder / "output").read_text(errors="replace")[-3000:] if process.returncode else None


def _watch(process: subprocess.Popen[bytes], at: Path) -> bool:
    """Wait until a child ends; return whether it stood still instead."""
    seen: tuple[str, float] = ("", time.monotonic())
    while process.poll() is None:
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            now = at.read_text() if at.exists() else ""
            if now != seen[0]:
                seen = (now, time.monotonic())
            elif time.monotonic() - seen[1] > _STANDS_STILL_SECONDS:
                return True
    return False


def _noted(target: Target, folder: Path, keep: Path) -> Iterator[Failure]:
    if not (folder / "failures").exists():
        return
    for line in (folder / "failures").read_text().splitlines():
        number, what = json.loads(line)
        yield Failure(target.name, number, what, _keep(folder / f"{number}.input", target, number, keep))


def _keep(file: Path, target: Target, number: int, keep: Path) -> Path:
    keep.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(file, keep / f"{target.name}.{number}"))
