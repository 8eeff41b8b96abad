"""The environment variables and the working directory of a run in this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager
from contextvars import ContextVar

_lock = threading.Lock()
_held: ContextVar[bool] = ContextVar("lume_services_surroundings_held", default=False)


@contextmanager
def surroundings(env: Mapping[str, str], working_dir: str | None) -> Iterator[None]:
    """Set variables and directory in the block and put them back after it.

    They belong to the whole process, so blocks that set any wait for each other; one inside another
    does not.
    """
    if not env and working_dir is None:
        yield
        return
    with ExitStack() as stack:
        if not _held.get():
            stack.enter_context(_lock)
            stack.callback(_held.reset, _held.set(True))
        stack.enter_context(_environment(env))
        if working_dir is not None:
            stack.enter_context(chdir(working_dir))
        yield


@contextmanager
def _environment(env: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in env}
    os.environ.update(env)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
