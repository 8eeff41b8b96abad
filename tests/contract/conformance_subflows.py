"""Conformance scenarios: subflows."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

from conformance_basics import add, add_async
from prefect import flow, tags, task


@flow
def double(x: int):
    return add(x, x)


@flow
async def double_async(x: int):
    return await add_async(x, x)


@flow
def broken_child():
    add(1)
    raise KeyError("child")


@flow
def parent():
    with tags("from-parent"):
        state = double(5, return_state=True)
    return double(1), state.result(), state.name


@flow
async def parent_async():
    return await asyncio.gather(*[double_async(i) for i in range(3)])


@flow
def parent_with_threads():
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(contextvars.copy_context().run, double, i) for i in range(3)]
        return [future.result() for future in running]


@task
def run_double(x):
    return double(x)


@flow
def parent_with_tasks():
    return [future.result() for future in [run_double.submit(i) for i in range(2)]]


@flow
def parent_of_broken():
    middle_of_broken()


@flow
def middle_of_broken():
    broken_child()


@flow
def parent_survives():
    return broken_child(return_state=True).name


@flow
def parent_passes_future():
    future = add.submit(1)
    future.wait()
    return double(future)
