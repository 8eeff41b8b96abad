"""Stopping a flow function that runs in a thread of this process.

Python can raise an exception in another thread, but only when that thread executes Python code: a
blocking call (`time.sleep`, a lock, a long NumPy operation) returns first. An async flow is cancelled
at its next `await`. Prefect's `Abort` is what is raised: the engine lets it pass without a verdict of
its own, so that the run can be put into the state Cancelled.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
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
                _raise_in(self._thread)


def _raise_in(thread: int) -> None:
    """Make a thread raise `Abort`.

    Not while it starts another thread: until the new one runs, CPython has it under the number of the
    one that starts it, and would raise there. The sleep also begins a new slice of the interpreter
    lock, so that the thread cannot get on between the look at it and the exception.
    """
    while True:
        time.sleep(0.0005)
        if not _starts_a_thread(thread):
            break
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Abort))


def _starts_a_thread(thread: int) -> bool:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented, for debuggers
    while frame is not None:
        if frame.f_code is threading.Thread.start.__code__:
            return True
        frame = frame.f_back
    return False


def _current_task() -> tuple[asyncio.AbstractEventLoop, asyncio.Task[object]] | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return (task.get_loop(), task) if task is not None else None
