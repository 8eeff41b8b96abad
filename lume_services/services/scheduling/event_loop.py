"""Calls that block, for async code; coroutines, for code that may be in an event loop, as in a notebook."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any


def in_thread(call: Callable[[], Any]) -> asyncio.Future[Any]:
    """Call a function in a thread of its own, and return what it will return, to be awaited.

    As many as are wanted wait at the same time; in a pool of threads the last ones would wait for the first.
    The thread does not keep the program alive: who is interrupted does not wait for the end of a run.
    """
    return asyncio.wrap_future(_started(call))


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end and return its value, even if an event loop runs in the calling thread."""
    return _started(partial(asyncio.run, coroutine)).result()


def _started(call: Callable[[], Any]) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()  # from now on nobody can take it back

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - reaches the caller through the future
            future.set_exception(error)

    threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True).start()
    return future
