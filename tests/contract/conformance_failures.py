"""Conformance scenarios: failures, retries, timeouts and states."""

from __future__ import annotations

import asyncio
import time

from conformance_basics import COUNTS, SEEN, add, count, fail
from conformance_subflows import double
from prefect import allow_failure, flow, runtime, suspend_flow_run, task
from prefect.states import Cancelled, Completed, Failed

# failures and retries ------------------------------------------------------------------------------


@flow
def failing_task():
    return fail()


@flow
def failures_among_futures():
    return [add.submit(1), fail.submit("one"), add.submit(2)]


@flow
def mapped_failures():
    states = inverse.map([1, 0, 2], return_state=True)
    return [state.name for state in states]


@task
def inverse(x):
    return 1 / x


@flow
def upstream_failure():
    broken = fail.submit()
    after = add.submit(1, wait_for=[broken])
    tolerant = add.submit(1, b=2, wait_for=[allow_failure(broken)])
    return [_name(broken), _name(after), tolerant.result()]


def _name(future):
    future.wait()
    return future.state.name


@flow
def failure_allowed():
    return describe(allow_failure(fail.submit("seen")))


@task
def describe(value):
    return f"{type(value).__name__}: {value}"


@task(retries=2)
def flaky(name):
    if count(name) < 3:
        raise ValueError(name)
    return COUNTS[name]


@task(retries=2, retry_delay_seconds=[0.01, 0.02])
def flaky_with_delays():
    count("flaky_with_delays")
    raise ValueError("always")


@task(retries=3, retry_condition_fn=lambda task, run, state: COUNTS["conditional"] < 2)
def conditional():
    count("conditional")
    raise ValueError("conditional")


@flow
def task_retries():
    return flaky("flaky")


@flow
def task_retries_exhausted():
    return [flaky_with_delays(return_state=True).name, conditional(return_state=True).name, dict(COUNTS)]


@flow(retries=2)
def flow_retries():
    add(1)
    if count("flow_retries") < 3:
        raise RuntimeError("again")
    return runtime.flow_run.run_count


@flow(retries=1, retry_delay_seconds=1)
def flow_retry_delay():
    if count("flow_retry_delay") < 2:
        SEEN.append(time.monotonic())
        raise RuntimeError("again")
    return time.monotonic() - SEEN[-1] > 0.4


@flow(retries=1)
def flow_retries_exhausted():
    count("flow_retries_exhausted")
    raise RuntimeError("for ever")


@flow(retries=1)
def retried_with_subflow():
    value = double(2)
    if count("retried_with_subflow") < 2:
        raise RuntimeError("after the subflow")
    return value


@task(timeout_seconds=0.1)
def slow():
    time.sleep(0.4)


@task(timeout_seconds=0.1)
async def slow_async():
    await asyncio.sleep(5)


@flow
def task_timeout():
    return slow(return_state=True).name


@flow
async def task_timeout_async():
    return (await slow_async(return_state=True)).name


@flow(timeout_seconds=0.2)
def flow_timeout():
    time.sleep(0.5)


@flow(timeout_seconds=0.2)
async def flow_timeout_async():
    await asyncio.sleep(5)


@flow
def exits():
    raise SystemExit(3)


@task
def exit_task():
    raise SystemExit(4)


@flow
def task_exits():
    return exit_task()


# states --------------------------------------------------------------------------------------------


@flow
def custom_state(kind: str):
    if kind == "completed":
        return Completed(message="well done", name="Finished")
    if kind == "cancelled":
        return Cancelled(message="not needed")
    return Failed(message="no beam")


@task
def failed_state():
    return Failed(message="no beam in the task")


@flow
def task_returns_state():
    state = failed_state(return_state=True)
    return state.name, state.message


@flow
def returns_future():
    return add.submit(20)


@flow
def suspends():
    suspend_flow_run(timeout=1)
