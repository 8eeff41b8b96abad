"""One step at one point: the function of its flow, called inside of the flow run of many points.

A flow run of its own takes 15 ms, a call microseconds. What the engine does for a flow besides, its options
ask for; a flow with such an option runs as a subflow.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.futures import resolve_futures_to_states
from typing_extensions import override

from lume_services.flows.checks.annotations import adapter_of
from lume_services.flows.signature import Signature
from lume_services.flows.spec import StepSpec
from lume_services.flows.steps import StepRun
from lume_services.services.scheduling.recording import TaskRecorder

_NEED_THE_ENGINE = (
    "isasync",
    "isgenerator",
    "retries",
    "timeout_seconds",
    "log_prints",
    "flow_run_name",
    "result_storage",
    "result_serializer",
    "on_completion_hooks",
    "on_failure_hooks",
    "on_cancellation_hooks",
    "on_crashed_hooks",
    "on_running_hooks",
)


def needs_engine(flow: Flow[..., Any], step: StepSpec) -> bool:
    """Tell whether the flow of a step has to be a flow run of its own, for one of its options."""
    options = any(getattr(flow, name) for name in _NEED_THE_ENGINE)
    return options or flow.persist_result is not None or bool(step.run_config)


class DirectStep(StepRun):
    """The flow of a step, called at one point after the other.

    Parameters are checked and converted as Prefect does it. Tasks run as task runs of the flow run around;
    those that were submitted have ended when the call returns.

    Args:
        flow: The flow.
        signature: Its signature.
        tasks: The tasks whose results are asked for.
    """

    def __init__(self, flow: Flow[..., Any], signature: Signature, tasks: Collection[str]) -> None:
        self._flow = flow
        self._recorder = TaskRecorder(tasks)
        self._function = self._recorder.watch(flow).fn if tasks else flow.fn
        self._adapters = {
            name: adapter
            for name, parameter in signature.parameters.items()
            if (adapter := adapter_of(parameter.annotation)) is not None
        }

    @override
    def run(self, parameters: Mapping[str, Any], key: str | None = None) -> Any:
        around = FlowRunContext.get()
        if around is None:
            raise RuntimeError("A step was called outside of a flow run.")
        converted = {
            name: self._adapters[name].validate_python(value) if name in self._adapters else value
            for name, value in parameters.items()
        }
        # With results of its own, so that those of all points are not kept until the last one.
        own = {"flow": self._flow, "parameters": dict(parameters), "run_results": {}}
        with (
            self._flow.task_runner.duplicate() as runner,
            around.model_copy(update={**own, "task_runner": runner}),
        ):
            returned = resolve_futures_to_states(self._function(**converted))
            # Prefect's own switch: in an event loop it would give a coroutine.
            return returned.result(_sync=True) if isinstance(returned, State) else returned  # type: ignore[call-overload]

    @override
    def task_result(self, name: str) -> Any:
        return self._recorder.result(name)

    @override
    def cancel(self) -> None:
        """Do nothing: what runs the points stops between two of them."""
