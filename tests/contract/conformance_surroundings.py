"""Conformance scenarios: a run and what surrounds it: names, logs, hooks, parameters, artifacts, the API."""

from __future__ import annotations

from conformance_basics import SEEN, add
from prefect import flow, get_client, get_run_logger, runtime, tags, task
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
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.sorting import FlowRunSort
from prefect.concurrency.sync import concurrency, rate_limit
from prefect.deployments import run_deployment
from prefect.events import emit_event
from prefect.transactions import transaction
from prefect.variables import Variable
from pydantic import BaseModel


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
