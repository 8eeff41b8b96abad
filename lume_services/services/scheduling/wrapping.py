"""A flow whose function runs inside a context of ours."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from copy import copy
from typing import Any

from prefect import Flow


def run_within(context: Callable[[], AbstractContextManager[None]], flow: Flow[..., Any]) -> Flow[..., Any]:
    """Return a flow equal to `flow` whose function runs inside `context()`, each time it runs."""
    wrapped = copy(flow)
    function: Any = _within(context, flow.fn)
    # Prefect resolves annotations that are text in the module of the function, which is this one now.
    with suppress(NameError):
        function.__signature__ = inspect.signature(flow.fn, eval_str=True)
    wrapped.fn = function
    return wrapped


def _within(context: Callable[[], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, sync or async, generator or not, made to run inside a context."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with context():
            return function(*args, **kwargs)

    @functools.wraps(function)
    async def run_async(*args: Any, **kwargs: Any) -> Any:
        with context():
            return await function(*args, **kwargs)

    @functools.wraps(function)
    def generate(*args: Any, **kwargs: Any) -> Any:
        with context():
            return (yield from function(*args, **kwargs))

    @functools.wraps(function)
    async def generate_async(*args: Any, **kwargs: Any) -> Any:
        with context():
            async for item in function(*args, **kwargs):
                yield item

    if inspect.isasyncgenfunction(function):
        return generate_async
    if inspect.isgeneratorfunction(function):
        return generate
    return run_async if inspect.iscoroutinefunction(function) else run
