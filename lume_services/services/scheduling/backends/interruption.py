"""Stopping a flow function that runs in a thread of this process.

Python can raise an exception in another thread, but only when that thread executes Python code: a
blocking call (`time.sleep`, a lock, a long NumPy operation) returns first. An async flow is cancelled
at its next `await`. Prefect's `Abort` is what is raised: the engine lets it pass without a verdict of
its own, so that the run can be put into the state Cancelled.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.exceptions import Abort


class Interruption:
    """Lets one thread stop what another one runs in a block.

    Attributes:
        requested: Whether a stop was asked for.
    """

    def __init__(self) -> None:
        self.requested = False
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._task: tuple[asyncio.AbstractEventLoop, asyncio.Task[object]] | None = None

    @contextmanager
    def possible(self) -> Iterator[None]:
        """Let the block be stopped.

        Raises:
            Abort: A stop was asked for.
        """
        with self._lock:
            if self.requested:
                raise Abort
            self._task = _current_task()
            self._thread = threading.get_ident()
        try:
            yield
        except asyncio.CancelledError:
            if self.requested:
                raise Abort from None
            raise
        finally:
            with self._lock:
                self._thread = None

    def request(self) -> None:
        """Ask for a stop and return at once."""
        with self._lock:
            again, self.requested = self.requested, True
            if again or self._thread is None:
                return
            if self._task is not None:
                loop, task = self._task
                loop.call_soon_threadsafe(task.cancel)
            else:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(Abort)
                )


def _current_task() -> tuple[asyncio.AbstractEventLoop, asyncio.Task[object]] | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return (task.get_loop(), task) if task is not None else None
