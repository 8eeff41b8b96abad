"""Conformance scenarios: tasks and futures."""

from __future__ import annotations

import asyncio

from conformance_basics import add, add_async
from prefect import flow, task, unmapped
from prefect.futures import as_completed, wait
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner


@flow
def calls(n: int = 2):
    return [add(n), add(n, b=n), add.with_options(name="plus")(n, 10)]


@flow
def futures():
    mapped = add.map(range(4), b=unmapped(10))
    first = add.submit(1)
    second = add.submit(first, wait_for=[mapped])
    done, not_done = wait([first, second])
    completed = sorted(future.result() for future in as_completed([first, second]))
    return mapped.result(), len(done), len(not_done), completed


@flow
def many_calls():
    return sum(add(i) for i in range(40))


@task
def outer(n):
    return [add(n), add.submit(n + 1).result()]


@flow
def tasks_in_tasks():
    return outer(1)


@flow
async def gathered():
    return await asyncio.gather(*[add_async(i) for i in range(3)]), add(5), await outer_async(1)


@task
async def outer_async(n):
    return await add_async(n) + add(n)


@flow
async def async_futures():
    return [future.result() for future in [add_async.submit(i) for i in range(3)]]


@flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
def thread_pool():
    return add.map(range(6)).result()


@flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
def process_pool():
    return add.map(range(2), b=unmapped(5)).result()


@task
def numbers(n):
    yield from range(n)
    return "end"


@task
async def numbers_async(n):
    for i in range(n):
        yield i


@flow
def task_generator():
    return list(numbers(3))


@flow
async def task_generator_async():
    return [i async for i in numbers_async(3)]


@flow
def flow_generator(n: int):
    for i in range(n):
        yield add(i)


@flow
async def flow_generator_async(n: int):
    for i in range(n):
        yield await add_async(i)
