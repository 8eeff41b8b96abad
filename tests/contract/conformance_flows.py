"""The tasks and flows of the conformance scenarios: importable, so that other processes can run them."""

from __future__ import annotations

import asyncio
import contextvars
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from prefect import (
    allow_failure,
    flow,
    get_client,
    get_run_logger,
    runtime,
    suspend_flow_run,
    tags,
    task,
    unmapped,
)
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.assets import materialize
from prefect.blocks.system import Secret
from prefect.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE, CacheKeyFnPolicy
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.sorting import FlowRunSort
from prefect.concurrency.sync import concurrency, rate_limit
from prefect.deployments import run_deployment
from prefect.events import emit_event
from prefect.futures import as_completed, wait
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner
from prefect.transactions import transaction
from prefect.variables import Variable
from pydantic import BaseModel

COUNTS: dict[str, int] = {}
SEEN: list[object] = []


def count(name: str) -> int:
    """Count a call."""
    COUNTS[name] = COUNTS.get(name, 0) + 1
    return COUNTS[name]


@task
def add(a, b=1):
    return a + b


@task
async def add_async(a, b=1):
    await asyncio.sleep(0)
    return a + b


@task
def fail(message="broken"):
    raise ValueError(message)


# tasks and futures ---------------------------------------------------------------------------------


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


# caching -------------------------------------------------------------------------------------------


@task(persist_result=True, cache_policy=INPUTS, result_serializer="json")
def cached(x):
    return count("cached"), x


@task(persist_result=True, cache_policy=INPUTS, cache_expiration=timedelta(seconds=0.3))
def expiring(x):
    return count("expiring")


@task(
    persist_result=True,
    cache_policy=CacheKeyFnPolicy(cache_key_fn=lambda context, inputs: f"key/{inputs['x']}"),
)
def keyed(x):
    return count("keyed")


@task(persist_result=True, cache_policy=(INPUTS + TASK_SOURCE) - "salt")
def composed(x, salt):
    return count("composed")


@task(persist_result=True, cache_policy=NO_CACHE)
def uncached(x):
    return count("uncached")


@task(persist_result=True, cache_policy=INPUTS, refresh_cache=True)
def refreshed(x):
    return count("refreshed")


@flow
def caching(where: str):
    states = [cached((where, i), return_state=True) for i in (1, 1, 2)]
    return [(state.name, state.result()) for state in states]


@flow
def cache_expires(where: str):
    values = [expiring(where), expiring(where)]
    time.sleep(0.4)
    return [*values, expiring(where)]


@flow
def cache_key(where: str):
    return keyed(where), keyed.submit(where).result()


@flow
def cache_policies(where: str):
    return [
        composed(where, 1),
        composed(where, 2),
        uncached(where),
        uncached(where),
        refreshed(where),
        refreshed(where),
    ]


@task(persist_result=True, result_storage_key="stored-{parameters[name]}.json", result_serializer="json")
def stored(name):
    return {"name": name}


@flow(persist_result=True, result_serializer="json")
def persisted(name: str):
    stored(name)
    return (PREFECT_LOCAL_STORAGE_PATH.value() / f"stored-{name}.json").exists()


# subflows ------------------------------------------------------------------------------------------


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


# the run and its surroundings ----------------------------------------------------------------------


@flow(flow_run_name="named-{n}")
def named(n: int):
    return runtime.flow_run.name, named_task(n), named_child()


@task(task_run_name="task-{n}")
def named_task(n):
    return runtime.task_run.name


@flow(flow_run_name=lambda: f"child-of-{runtime.flow_run.flow_name}")
def named_child():
    return runtime.flow_run.name


@task(tags=["gpu"])
def runtime_of_task(x):
    return runtime.task_run.parameters, sorted(runtime.task_run.tags), runtime.task_run.run_count


@flow
def runtime_values(x: int = 1):
    run = runtime.flow_run
    with tags("inside"):
        of_task = runtime_of_task(x)
    same_root = run.root_flow_run_id == run.id
    return [
        run.flow_name, run.parameters, run.run_count, sorted(run.tags), run.parent_flow_run_id,
        same_root, runtime.deployment.id, of_task, runtime_of_child(),
    ]  # fmt: skip


@flow
def runtime_of_child():
    return (
        runtime.flow_run.parent_flow_run_id is not None,
        runtime.flow_run.root_flow_run_id != runtime.flow_run.id,
    )


@flow(log_prints=True)
def logs():
    get_run_logger().warning("from the flow")
    print("printed")
    logs_of_task()


@task
def logs_of_task():
    get_run_logger().error("from the task")


def _hook(kind):
    def hook(subject, run, state):
        SEEN.append(f"{kind} {subject.name} {state.name}")

    return hook


@task(
    on_completion=[_hook("task completed")],
    on_failure=[_hook("task failed")],
    on_running=[_hook("task runs")],
)
def hooked_task(bad):
    return 1 // (not bad)


@flow(
    on_completion=[_hook("completed")],
    on_failure=[_hook("failed")],
    on_running=[_hook("runs")],
    on_crashed=[_hook("crashed")],
)
def hooked(bad: bool):
    return hooked_task(bad)


@task
def write(value):
    SEEN.append(f"wrote {value}")


@write.on_rollback
def _undo(transaction):
    SEEN.append("undone")


@write.on_commit
def _commit(transaction):
    SEEN.append("committed")


@flow
def transactional(bad: bool):
    with transaction() as open_transaction:
        open_transaction.set("n", 1)
        write(1)
        if bad:
            raise ValueError(f"after {open_transaction.get('n')}")


class Beam(BaseModel):
    energy: float
    charge: float = 1.0


@flow
def validated(beam: Beam, n: int):
    return type(beam).__name__, beam.energy, beam.charge, n


@flow(validate_parameters=False)
def not_validated(n: int):
    return n


class Opaque:
    """Something that JSON cannot hold."""


@flow(validate_parameters=False)
def opaque(thing: object):
    return type(thing).__name__


@flow
def artifacts():
    create_table_artifact(table=[{"a": 1}], key="table", description="a table")
    create_markdown_artifact("# title", key="markdown")
    create_link_artifact("http://127.0.0.1", key="link")
    create_image_artifact("http://127.0.0.1/x.png", key="image")
    artifact_of_task()


@task
def artifact_of_task():
    progress = create_progress_artifact(0.0, key="progress")
    update_progress_artifact(progress, 50.0)


@flow
def limits():
    with concurrency("none-such", occupy=1, strict=False):
        rate_limit("none-such", strict=False)
    return limited()


@task(tags=["limited"])
def limited():
    return "ran"


@flow
def strict_limit():
    with concurrency("none-such", strict=True, timeout_seconds=1):
        pass


@flow
def absent_objects():
    def kind(call):
        try:
            return call()
        except Exception as error:
            return type(error).__name__

    return [
        Variable.get("none_such", default=5),
        kind(lambda: Variable.get("none_such")),
        kind(lambda: Secret.load("none-such")),
        kind(lambda: run_deployment("none/such", timeout=0)),
    ]


@flow
def reads_itself():
    add(1)
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(runtime.flow_run.id)
        of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
        own = client.read_flow_runs(flow_run_filter=of_run, sort=FlowRunSort.NAME_ASC, limit=5)
        client.update_flow_run_labels(run.id, {"beamline": "7"})
        labels = client.read_flow_run(run.id).labels
        flow_name = client.read_flow(run.flow_id).name
    return run.state_name, run.run_count, run.parameters, len(own), labels["beamline"], flow_name


@materialize("s3://none/such")
def make_asset():
    return "made"


@flow
def assets():
    emit_event("lume.test", resource={"prefect.resource.id": "lume.test"})
    return make_asset()
