"""Processes of this machine, by what is true of them as long as they live: for runs whose worker has died.

A process says where it runs. Another one on the same machine can then tell for certain whether it lives, and
which runs have a process. Elsewhere, and where there is no `/proc`, nothing is known.
"""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
HOLDER = "lume-services.holder"
"""The label of a run that names the process that answers for it: of its worker, or of its caller."""

RUN_ID_VARIABLE = "PREFECT__FLOW_RUN_ID"
"""The environment variable of a job that has the id of its run."""

_START = 19  # where the time stands when a process started, counted after its name


@functools.cache
def machine() -> str | None:
    """Return what names this machine since its start, the processes seen, and the user; None if unknown."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return None
    return f"{boot} {namespace} {os.getuid()}"


def this_process() -> str | None:
    """Return what names this process; None if unknown."""
    here = machine()
    return f"{here} {os.getpid()} {_started(os.getpid())}" if here else None


def is_here(process: str) -> bool:
    """Tell whether a process is, or was, one of this machine."""
    here = machine()
    return here is not None and process.startswith(f"{here} ")


def is_alive(process: str) -> bool:
    """Tell whether a process of this machine lives, given its name."""
    *_, pid, started = process.split()
    return _started(int(pid)) == started


def processes_of_runs() -> Mapping[str, Sequence[int]]:
    """Return the processes of this machine that stand for a run, by the id of the run."""
    found = defaultdict(list)
    given = f"{RUN_ID_VARIABLE}=".encode()
    for folder in _PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        with suppress(OSError):  # it has just ended, or is of another user
            for variable in (folder / "environ").read_bytes().split(b"\0"):
                if variable.startswith(given):
                    found[variable.removeprefix(given).decode(errors="replace")].append(int(folder.name))
    return found


def _started(pid: int) -> str | None:
    """Return when a process started, in ticks; None if there is none, or only what is left of it."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[_START]
