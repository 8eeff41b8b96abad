"""Reads the mutations of a target one after the other: `python -m fuzz.child TARGET FIRST LAST FOLDER`.

Before each, its number goes into the file `at` of the folder and its bytes into `input`, so that whoever
watches knows which one ended the process. What fails goes into the file `failures`, a line each; the input
itself into a file beside it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from fuzz.target import MIB, Target, target_named
from lume_services.errors import LUMEServicesError

CPU_SECONDS = 20
ADDRESSES = 2048 * MIB


class Reader:
    """Reads inputs and notes what is wrong with how that went."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target = target
        self.folder = folder
        self._at = os.open(folder / "at", os.O_WRONLY | os.O_CREAT)

    def at(self, number: int) -> None:
        """Say which mutation is next."""
        os.pwrite(self._at, f"{number:12d}".encode(), 0)

    def read(self, number: int, value: Any) -> None:
        """Read one input; note any error but ours, and more memory than is stated."""
        (self.folder / "input").write_bytes(self.target.to_bytes(value))
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # its signal ends the process
        before = _forget_most()
        try:
            self.target.read(value)
        except (LUMEServicesError, *self.target.also):
            pass
        except Exception:
            self.note(number, value, traceback.format_exc())
        most = self.target.most_bytes(len(self.target.to_bytes(value)))
        if (taken := _most() - before) > most:
            self.note(number, value, f"{taken / MIB:.0f} MiB taken, {most / MIB:.0f} MiB stated")

    def note(self, number: int, value: Any, what: str) -> None:
        """Note a failure."""
        (self.folder / f"{number}.input").write_bytes(self.target.to_bytes(value))
        with (self.folder / "failures").open("a") as failures:
            failures.write(json.dumps([number, what]) + "\n")


def _forget_most() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return _most()


def _most() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main(name: str, first: str, last: str, folder: str) -> None:
    """Read the mutations from the first to before the last; with the first also all honest inputs."""
    warnings.simplefilter("ignore")  # of NumPy and pandas on odd numbers
    target = target_named(name)
    seeds = target.seeds()
    for seed in seeds:
        target.read(seed)
    reader = Reader(target, Path(folder))
    addresses = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (addresses + ADDRESSES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if first == "0":
        for number, path in enumerate(target.kept()):
            reader.at(-1 - number)
            reader.read(-1 - number, target.of_bytes(path.read_bytes()))
    for number in range(int(first), int(last)):
        reader.at(number)
        reader.read(number, target.input(number, seeds))


if __name__ == "__main__":
    main(*sys.argv[1:])
