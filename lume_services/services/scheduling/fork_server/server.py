"""The worker's side: starts the process that jobs are forked from, and stops it."""

from __future__ import annotations

import logging
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from lume_services.services.scheduling.fork_server.folder import worker_folder

logger = logging.getLogger(__name__)

_LAUNCH = Path(__file__).with_name("launch.py")
_SERVE = f"{__package__}.serve"
_WAITING_JOBS = 128


class ForkServer:
    """A process from which those of jobs are forked, as long as this context is open.

    At its end it waits for jobs that still run. They go on when this process is killed; after the last one
    nothing is left. Where no job can be forked, commands stay as they are.

    Args:
        environment: Environment variables of the process. A job whose own are others gets a new interpreter.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._opened = ExitStack()
        self._address = ""

    def __enter__(self) -> Self:
        try:
            if supported():
                self._start()
        except OSError as error:
            logger.warning("Each job gets an interpreter of its own, which takes longer: %s", error)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def command(self, command: str) -> str:
        """Return the command that starts the same job by a fork, if that can be done with it."""
        words = shlex.split(command)
        if not self._address or words[:2] != ["python", "-m"]:
            return command
        return shlex.join([sys.executable, "-IS", str(_LAUNCH), self._address, *words[2:]])

    def _start(self) -> None:
        with ExitStack() as opened:
            folder, lock = opened.enter_context(worker_folder())
            address = str(folder / "socket")
            # It listens from now on: a job that comes while Prefect is being imported waits for that.
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(address)
                listener.listen(_WAITING_JOBS)
                process = subprocess.Popen(  # noqa: S603 - our own module
                    [sys.executable, "-m", _SERVE, str(listener.fileno()), str(folder), str(lock)],
                    stdin=subprocess.PIPE,  # its end tells the process to take no more jobs
                    env=self._environment,
                    pass_fds=[listener.fileno(), lock],
                    start_new_session=True,  # Ctrl-C is for the worker, which passes it on
                )
            opened.enter_context(process)  # at its end: the input is closed, and the process waited for
            self._opened = opened.pop_all()
        self._address = address


def supported() -> bool:
    """Tell whether jobs can be forked here: on Linux, from 5.4.

    On macOS the libraries of the system do not work after a fork.
    """
    if sys.platform != "linux":
        return False
    try:
        here = os.pidfd_open(os.getpid())
    except OSError:
        return False
    try:
        os.waitid(os.P_PIDFD, here, os.WEXITED)
    except ChildProcessError:  # it is none of its own, and this can be asked
        return True
    except OSError:
        return False
    finally:
        os.close(here)
    return False
