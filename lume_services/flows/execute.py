"""Run the steps of a plan, each as soon as the steps before it are done."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from lume_services.errors import StepFailedError
from lume_services.flows.check import CheckedSpec
from lume_services.flows.document import Loc
from lume_services.flows.events import Observer, StepEvent, StepState
from lume_services.flows.failure import flow_failed, value_missing
from lume_services.flows.plan import Edge, Plan
from lume_services.flows.steps import StepRun, step_run
from lume_services.results import load_result
from lume_services.services.scheduling import Backend
from lume_services.values.select import select

# A thread that waits sees a stop that was asked for when it wakes up.
WAKE_UP_SECONDS = 0.2


@dataclass
class _Step:
    """A step that was started, and in the end its value or why it has none."""

    name: str
    run: StepRun
    began: float
    value: Any = None
    failure: StepFailedError | None = None


class Execution:
    """One run of all steps, inside of a flow run: the run of every step is a child of it.

    Args:
        checked: The spec and its flows.
        plan: Its graph.
        backend: Runs the steps.
        observer: Is told what happens to the steps.

    Attributes:
        events: What happened last to every step.
    """

    def __init__(self, checked: CheckedSpec, plan: Plan, backend: Backend, observer: Observer) -> None:
        self.events: dict[str, StepEvent] = {}
        self._checked = checked
        self._plan = plan
        self._backend = backend
        self._observer = observer
        self._steps: dict[str, _Step] = {}
        self._running: dict[str, _Step] = {}
        self._ended: SimpleQueue[_Step] = SimpleQueue()

    def run(self, values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Run all steps and return the value of every flow by the name of its step.

        After a step has failed, none is started; those that run are left to finish. If this thread is
        stopped, they are stopped too.

        Args:
            values: The parameters that no other step gives, by step.

        Raises:
            StepFailedError: A step failed; of several, the first.
        """
        for name in self._plan.steps:
            self._tell(name, "queued")
        try:
            failures = self._run_all(values)
        except BaseException:
            for step in self._running.values():
                step.run.cancel()
            while self._running:
                self._next_ended()
            raise
        for name in self._plan.steps:
            if name not in self._steps:
                self._tell(name, "skipped")
        for failure in failures:
            raise failure
        return {name: self._steps[name].value for name in self._plan.steps}

    def _run_all(self, values: Mapping[str, Mapping[str, Any]]) -> list[StepFailedError]:
        order = TopologicalSorter(self._plan.parents)
        order.prepare()
        failures: list[StepFailedError] = []
        while self._running or (order.is_active() and not failures):
            for name in order.get_ready() if not failures else ():
                self._start(name, values[name])
            step = self._next_ended()
            order.done(step.name)
            if step.failure is not None:
                failures.append(step.failure)
            self._tell(step.name, "failed" if step.failure else "completed")
        return failures

    def _start(self, name: str, values: Mapping[str, Any]) -> None:
        spec = self._plan.steps[name]
        run_config = self._backend.run_config_type.of(spec.run_config)
        run_config = run_config.model_copy(update={"labels": run_config.labels | self._checked.spec.tags})
        tasks = {edge.task for edge in self._plan.edges if edge.parent == name and edge.task}
        run = step_run(self._backend, self._checked.flows[name], name, run_config, tasks)
        step = _Step(name, run, time.monotonic())
        self._steps[name] = self._running[name] = step
        # In a copy of this context, the run is a child of the flow run of this thread.
        context = contextvars.copy_context()
        Thread(target=context.run, args=(self._run_step, step, values), name=name, daemon=True).start()
        self._tell(name, "running")

    def _next_ended(self) -> _Step:
        while True:
            try:
                step = self._ended.get(timeout=WAKE_UP_SECONDS)
            except Empty:
                continue
            del self._running[step.name]
            return step

    def _run_step(self, step: _Step, values: Mapping[str, Any]) -> None:
        try:
            mapped = {edge.parameter: self._mapped_value(edge) for edge in self._plan.into(step.name)}
            step.value = self._value_of(step, {**values, **mapped})
        except StepFailedError as failure:
            step.failure = failure
        finally:
            self._ended.put(step)

    def _value_of(self, step: _Step, parameters: Mapping[str, Any]) -> Any:
        try:
            return step.run.run(parameters)
        except BaseException as error:
            where = self._where(step.name)
            raise flow_failed(
                step.name, self._checked.flows[step.name], error, where, step.run.run_id
            ) from error

    def _mapped_value(self, edge: Edge) -> Any:
        """Return what goes over an edge."""
        parent = self._steps[edge.parent]
        try:
            given = parent.run.task_result(edge.task) if edge.task else parent.value
            if edge.map_type == "db" and edge.attribute_index:
                given = load_result(given)
            return select(given, edge.attribute_index, where=f"step {edge.parent!r}")
        except Exception as error:
            where = self._where(edge.child, "mapped_parameters", edge.parameter)
            raise value_missing(edge.child, self._checked.flows[edge.child], error, where) from error

    def _where(self, name: str, *part: str) -> str:
        loc: Loc = ("composing_flows", list(self._plan.steps).index(name), *part)
        return self._checked.document.where(loc)

    def _tell(self, name: str, state: StepState) -> None:
        step = self._steps.get(name)
        ended = step is not None and state in ("completed", "failed")
        self.events[name] = StepEvent(
            step=name,
            flow=self._plan.steps[name].name,
            state=state,
            duration=time.monotonic() - step.began if step and ended else None,
            run_id=step.run.run_id if step else None,
            error=str(step.failure) if step and step.failure else None,
        )
        self._observer(self.events[name])
