"""Flows as jobs run them, each under the name `lume_services.flows.jobs.package/module/flow`.

A flow-of-flows is `lume_services.flows.jobs.@spec/…`, once its spec is unpacked.

A deployment has such a name as its entry point. Prefect imports it by `getattr`, which makes the flow here:
its value and those of its tasks are kept where the caller reads them, and its tasks run just as they do in
the caller's own process. Prefect alone would keep values only together with caching, which changes which
tasks run, and would keep none of a task without caching.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.context import FlowRunContext, SyncClientContext
from prefect.results import get_default_persist_setting
from prefect.utilities.importtools import import_object

from lume_services.config import current_context
from lume_services.errors import NotAFlowError
from lume_services.files.run_results import RunResultSerializer, RunResultStorage
from lume_services.flows.travel import PREFIX, travelled
from lume_services.results.provenance import within_step
from lume_services.services.scheduling.claims import Beginning
from lume_services.services.scheduling.job_output import outlive_reader
from lume_services.services.scheduling.places import RUN_ID_VARIABLE
from lume_services.services.scheduling.recording import TaskRecorder
from lume_services.services.scheduling.wrapping import run_within


def __getattr__(name: str) -> Flow[..., Any]:
    """Return the flow `package/module/flow`, or the flow-of-flows `@spec/fingerprint`.

    Raises:
        AttributeError: This is no such name.
        NotAFlowError: It is the name of something else.
    """
    if "/" not in name:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.startswith(PREFIX):
        return kept(travelled(name))
    flow = import_object(name.replace("/", "."))
    if not isinstance(flow, Flow):
        raise NotAFlowError(f"{name.replace('/', '.')!r} is not a Prefect flow.", where=__name__)
    return kept(flow)


class JobFlow(Flow[..., Any]):
    """A flow whose parameters may be references to values that are kept elsewhere."""

    checks_parameters = True
    beginnings: list[Beginning]

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the values of the parameters, checked unless the flow does not want that.

        This is what the engine does last before it begins the run, or says that it has failed. Only the job
        that has the run for itself may do either.

        Raises:
            Abort: It is not for this job.
        """
        try:
            storage = RunResultStorage(filesystem_identifier=_filesystem())
            values = {name: storage.parameter(value) for name, value in parameters.items()}
            return super().validate_parameters(values) if self.checks_parameters else values
        finally:
            if run_id := os.environ.get(RUN_ID_VARIABLE):
                with SyncClientContext.get_or_create() as context:
                    self.beginnings.append(Beginning(context.client, UUID(run_id)))


def kept(flow: Flow[..., Any]) -> JobFlow:
    """Return a flow whose value, and those of its tasks, are kept in the configured filesystem."""
    if RUN_ID_VARIABLE in os.environ:
        outlive_reader()
    filesystem = _filesystem()
    recorder = TaskRecorder()
    beginnings: list[Beginning] = []
    flow = run_within(partial(_recorded, recorder, filesystem), recorder.watch(flow))
    flow = run_within(partial(_in_time, beginnings), flow)
    job = JobFlow.__new__(JobFlow)
    vars(job).update(vars(flow))
    job.beginnings = beginnings
    job.checks_parameters, job.should_validate_parameters = flow.should_validate_parameters, True
    job.persist_result = True
    # By its class: to find it by a name, Prefect imports all the packages that extend it.
    ours: Any = RunResultStorage.load(filesystem, _sync=True)  # type: ignore[call-arg]
    job.result_storage = flow.result_storage or ours
    job.result_serializer = flow.result_serializer or RunResultSerializer()
    return job


def _filesystem() -> str:
    return str(current_context().settings().prefect.result_filesystem)


@contextmanager
def _in_time(beginnings: Sequence[Beginning]) -> Iterator[None]:
    """Begin the function of the flow in time, or not at all."""
    context = FlowRunContext.get()
    for beginning in beginnings:
        beginning.check(context.flow_run.state if context and context.flow_run else None)
    yield


@contextmanager
def _recorded(recorder: TaskRecorder, filesystem: str) -> Iterator[None]:
    """Keep what the tasks return when the function of the flow has ended; they themselves notice nothing."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("The function of a job's flow was called outside a flow run.")
    try:
        with (
            context.model_copy(update={"persist_result": get_default_persist_setting()}),
            within_step(str(context.flow_run.id)),
        ):
            yield
    finally:
        serializer = RunResultSerializer()
        values = {
            name: [serializer.dumps(outcome).decode() for outcome in outcomes]
            for name, outcomes in recorder.outcomes().items()
        }
        storage = RunResultStorage(filesystem_identifier=filesystem)
        storage.write_path(f"tasks/{context.flow_run.id}", json.dumps(values).encode())
