"""Leases: of all processes that carry on the same run, one does so at a time."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from lume_services.errors import LUMEServicesError, RunTakenOverError
from lume_services.services.results import ResultsDBService
from lume_services.services.results.service import INTERNAL
from lume_services.values.visible import visible

LEASES = f"{INTERNAL}leases"

# Whoever holds a lease says so again and again. Where nothing was said for so long, nobody holds it.
_SILENT_SECONDS = 60.0
_RENEWAL_SECONDS = 15.0
_POLL_SECONDS = 0.3

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Holder:
    """A process, as another one can look whether it lives.

    Attributes:
        machine: The machine and the namespace in which the process has its number.
        process: Its number.
        started: When it started, as the machine counts; empty where that is not known.
    """

    machine: str
    process: int
    started: str

    @classmethod
    def here(cls) -> Self:
        """Return this process."""
        return cls(_machine(), os.getpid(), _started(os.getpid()))

    def is_dead(self) -> bool:
        """Return whether the process is known to live no more. One of another machine is never known."""
        if self.machine != _machine():
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return _started(self.process) != self.started

    def __str__(self) -> str:
        return f"process {self.process} on {self.machine.partition(' ')[0]}"


class Lease:
    """The right to carry on a run, held in a block.

    A lease is a row of numbered claims in the results store, of which the last one counts. A claim is
    inserted exactly once, so of several processes that want the next number one gets it. No clock of
    another machine is relied on: a claim is given up when it stood unchanged for a minute of the own clock,
    or when its process is on this machine and dead.

    Args:
        service: The results store.
        root: The run.
    """

    def __init__(self, service: ResultsDBService, root: str) -> None:
        self._service = service
        self._root = root
        self._owner = str(uuid4())
        self._number = 0
        self._lost = False
        self._stopped = threading.Event()
        self._renewal = threading.Thread(target=self._renew, name=f"lease-{root}", daemon=True)

    def __enter__(self) -> Self:
        self._wait()
        self._renewal.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._renewal.join()
        if not self._lost:
            self._claim(self._number + 1, released=True)

    def check(self) -> None:
        """Look whether the lease is still held.

        Raises:
            RunTakenOverError: This process was silent for too long, and another one carries on the run.
        """
        if self._lost:
            raise RunTakenOverError(
                "another process carries on this run: this one was not heard of for a minute.",
                where=f"run {self._root}",
                remedy="Resume the run to wait for its end; what is finished is not done again.",
            )

    def _wait(self) -> None:
        seen, since = None, time.monotonic()
        while True:
            last = self._last()
            if last is None:
                number, free = 0, True
            else:
                if last["number"] != seen:
                    if seen is None:
                        self._say(last)
                    seen, since = last["number"], time.monotonic()
                number = last["number"] + 1
                free = _is_free(last) or time.monotonic() - since > _SILENT_SECONDS
            if free and self._claim(number):
                return
            time.sleep(_POLL_SECONDS)

    def _say(self, last: Mapping[str, Any]) -> None:
        if not _is_free(last):
            holder = Holder(**last["holder"])
            logger.warning("Run %s is carried on by %s: waiting for it.", self._root, visible(holder))

    def _claim(self, number: int, *, released: bool = False) -> bool:
        """Claim a number, and return whether it is ours; then the claims before it are removed.

        A claim is the last one only if it still is when it has been inserted: meanwhile others may have had
        the number, and have removed it.
        """
        name = f"{self._root}:{number}"
        claim = {
            "unique_hash": name,
            "root": self._root,
            "number": number,
            "owner": self._owner,
            "holder": vars(Holder.here()),
            "released": released,
        }
        self._service.insert_one(claim, collection=LEASES)
        last = self._last()
        if last is None or (last["owner"], last["number"]) != (self._owner, number):
            return False
        self._number = number
        self._service.delete(collection=LEASES, query={"root": self._root, "number": {"$lt": number}})
        return True

    def _last(self) -> dict[str, Any] | None:
        self._service.configure({LEASES: ["root"]})
        return self._service.find_one(collection=LEASES, query={"root": self._root}, sort="-number")

    def _renew(self) -> None:
        while not self._stopped.wait(_RENEWAL_SECONDS):
            with suppress(LUMEServicesError, OSError):  # the store is away: perhaps it is back next time
                if not self._claim(self._number + 1):
                    self._lost = True
                    return


def _is_free(claim: Mapping[str, Any]) -> bool:
    return claim["released"] or Holder(**claim["holder"]).is_dead()


def _machine() -> str:
    """Return what two processes have in common that see each other under their numbers."""
    namespace = ""
    with suppress(OSError):
        namespace = Path("/proc/self/ns/pid").readlink().name
    return f"{socket.gethostname()} {namespace}"


def _started(process: int) -> str:
    """Return when a process started: its number may be given to another one after its end."""
    with suppress(OSError, IndexError):
        # The name of the program, in parentheses, may hold blanks.
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[19]
    return ""
