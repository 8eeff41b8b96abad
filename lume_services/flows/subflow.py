"""One flow run inside of another, that can be stopped, and asked for the results of its tasks."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prefect import Flow, tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.states import Cancelled

from lume_services.flows.steps import StepRun
from lume_services.results.provenance import within_step
from lume_services.services.scheduling import PrefectRunConfig
from lume_services.services.scheduling.backends.interruption import Interruption
from lume_services.services.scheduling.backends.surroundings import surroundings
from lume_services.services.scheduling.recording import TaskRecorder
from lume_services.services.scheduling.wrapping import run_within


class Subflow(StepRun):
    """A run of a flow as part of the flow run that it is started in.

    Args:
        flow: The flow.
        name: The name of the run, unless the flow gives its runs a name.
        run_config: Its tags, and the environment and folder to run in.
        task_names: The tasks whose results are asked for later.
    """

    def __init__(
        self, flow: Flow[..., Any], name: str, run_config: PrefectRunConfig, task_names: Collection[str]
    ) -> None:
        self._flow = flow if flow.flow_run_name else flow.with_options(flow_run_name=lambda: name)
        self._run_config = run_config
        self._recorder = TaskRecorder(task_names)
        self._interruption = Interruption()

    def run(self, parameters: Mapping[str, Any], key: str | None = None) -> Any:  # noqa: ARG002
        """Run the flow in this thread and return its value; what the flow raises is raised.

        It ends with its parent, so there is never one to find again.

        Raises:
            Abort: `cancel` was called.
        """
        flow = self._recorder.watch(self._flow)
        for context in (self._interruption.possible, self._noted):
            flow = run_within(context, flow)
        variables = self._run_config.job_variables
        with (
            _of_its_own(),
            tags(*self._run_config.tags),
            surroundings(variables.get("env", {}), variables.get("working_dir")),
        ):
            try:
                return _value_of(flow(**parameters))
            except Abort:
                # The engine leaves it to whoever stops a flow to say how the run ended.
                self._set_cancelled()
                raise

    def task_result(self, name: str) -> Any:
        """Return what a task of the flow returned; a list, if it was called more than once.

        Raises:
            TaskNotInFlowError: No task of that name ran.
            TaskNotCompletedError: The task, or one of its calls, did not complete.
        """
        return self._recorder.result(name)

    def cancel(self) -> None:
        """Ask the flow to stop, and return at once. It stops when Python code runs again in its thread."""
        self._interruption.request()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        context = FlowRunContext.get()
        if context is None or context.flow_run is None:
            raise RuntimeError("the function of a step was called outside of a flow run")
        self.run_id = str(context.flow_run.id)
        with within_step(self.run_id):
            yield

    def _set_cancelled(self) -> None:
        if self.run_id is not None:
            with get_client(sync_client=True) as client:
                client.set_flow_run_state(self.run_id, Cancelled(), force=True)


@contextmanager
def _of_its_own() -> Iterator[None]:
    """Make a subflow a new run, also where the parent is retried.

    Prefect counts the subflows of a run, and takes those of a retry for the earlier ones of the same numbers.
    Of subflows that run at the same time, each could so be given the value of another.
    """
    context = FlowRunContext.get()
    if context is None:
        yield
    else:
        with context.model_copy(update={"detached": True}):
            yield


def _value_of(returned: Any) -> Any:
    """Return the value of a flow from what its call returned: that of an async flow has to be awaited."""
    if inspect.isasyncgen(returned):
        return asyncio.run(_collected(returned))
    if inspect.isgenerator(returned):
        return list(returned)
    value = asyncio.run(returned) if inspect.iscoroutine(returned) else returned
    if isinstance(value, State):  # of a flow that returns the future of a task
        # Prefect's own switch: in an event loop it would give a coroutine.
        return value.result(_sync=True)  # type: ignore[call-overload]
    return value


async def _collected(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]
