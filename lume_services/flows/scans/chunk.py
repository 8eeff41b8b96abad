"""Points of a scan run one after the other, in one flow run, and are stored."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from threading import Event
from typing import Any

from prefect import Flow
from prefect.context import FlowRunContext
from prefect.exceptions import ExternalSignal

from lume_services.config import current_context
from lume_services.errors import StepFailedError
from lume_services.flows.check import check_spec
from lume_services.flows.failure import flow_failed, value_missing
from lume_services.flows.plan import Edge, Plan
from lume_services.flows.resolve import importable_from
from lume_services.flows.scans.job import Chunk, FailedPoint, Job, Progress
from lume_services.flows.scans.points import Point
from lume_services.flows.scans.steps import DirectStep, needs_engine
from lume_services.flows.scans.stored import Outcome, PointStore
from lume_services.flows.scans.typed import step_and_parameter
from lume_services.flows.steps import StepRun, handed_over, step_backend, step_run
from lume_services.results.provenance import Provenance

_SECONDS_UNTIL_STORED = 1.0
_BYTES_UNTIL_STORED = 32 << 20


class ChunkRunner:
    """Runs chunks of a scan, wherever it is: in a worker process, or in a job.

    A step that no scanned parameter reaches would do the same at each point: it runs once here.

    Args:
        job: The scan.

    Raises:
        SpecError: The spec cannot run here.
        BackendError: The code is not that with which the scan was begun.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._folder = Path(job.folder) if job.folder else None
        with importable_from(self._folder):
            self._checked = check_spec(job.spec)
            job.check_code(self._checked)
        self._plan = Plan.from_spec(self._checked.spec)
        self._order = list(TopologicalSorter(self._plan.parents).static_order())
        self._direct = {
            name: DirectStep(flow, self._checked.signatures[name], self._tasks_of(name))
            for name, flow in self._checked.flows.items()
            if not needs_engine(flow, self._plan.steps[name])
        }
        scanned = {step_and_parameter(key)[0] for key in job.keys}
        self._reached = scanned.union(*(self._plan.downstream[step] for step in scanned))
        self._kept: dict[str, tuple[StepRun, Any]] = {}
        self._backend = current_context().scheduling_backend().for_parents()
        self._store = PointStore(job)

    def run(self, chunk: Chunk, tell: Callable[[Progress], None], stop: Event) -> None:
        """Run the points of a chunk in one flow run. A point that fails does not end it.

        Args:
            chunk: The points.
            tell: Is called after points were stored, about once a second, and at the end.
            stop: Ends it after the present point, when it is set.

        Raises:
            ResultsDBError: The store cannot be written.
        """

        def run_points(points: int) -> None:  # noqa: ARG001 - the number shows in the Prefect UI
            self.run_points(chunk, tell, stop)

        flow = Flow(run_points, name=self._checked.spec.name)
        self._backend.run_and_return(flow, {"points": len(chunk.points)}, {"labels": self._checked.spec.tags})

    def run_points(self, chunk: Chunk, tell: Callable[[Progress], None], stop: Event) -> None:
        """Run the points of a chunk in the flow run that this is called in; otherwise as `run`."""
        provenance = self._provenance()
        waiting: dict[int, Outcome] = {}
        start = began = time.monotonic()
        size = 0

        def store() -> None:
            self._job.check_code(self._checked)  # modules may be loaded late
            outcomes = self._store.insert(list(waiting.values()), provenance)
            tell(_progress(chunk.number, dict(zip(waiting, outcomes, strict=True))))
            waiting.clear()

        with importable_from(self._folder):
            for index, point in enumerate(chunk.points):
                if stop.is_set():
                    break
                waiting[index] = self._outcome(point)
                size += _nbytes(waiting[index].results)
                due = chunk.one_by_one or time.monotonic() - began >= _SECONDS_UNTIL_STORED
                if due or size >= _BYTES_UNTIL_STORED:
                    store()
                    began, size = time.monotonic(), 0
        if waiting:
            store()
        rate = len(chunk.points) / max(time.monotonic() - start, 1e-6)
        tell(Progress(chunk.number, rate=rate))

    def _outcome(self, point: Point) -> Outcome:
        try:
            return Outcome(point, self._run_steps(self._job.inputs(point)))
        except StepFailedError as failure:
            return Outcome(point, {}, str(failure), vars(failure)["step"])

    def _run_steps(self, inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        runs: dict[str, StepRun] = {}
        values: dict[str, Any] = {}
        for name in self._order:
            if name in self._kept:
                runs[name], values[name] = self._kept[name]
                continue
            mapped = {e.parameter: self._mapped_value(e, runs, values) for e in self._plan.into(name)}
            given = self._job.parameters.get(name, {})
            constants = self._plan.steps[name].parameters
            runs[name] = self._step_run(name)
            values[name] = self._value_of(
                name, runs[name], {**constants, **given, **inputs.get(name, {}), **mapped}
            )
            if name not in self._reached:
                self._kept[name] = runs[name], values[name]
        return {name: values[name] for name in self._plan.steps}

    def _step_run(self, name: str) -> StepRun:
        if name in self._direct:
            return self._direct[name]
        backend, run_config = step_backend(self._backend, self._checked.spec, self._plan.steps[name])
        return step_run(backend, self._checked.flows[name], name, run_config, self._tasks_of(name))

    def _tasks_of(self, name: str) -> set[str]:
        return {edge.task for edge in self._plan.edges if edge.parent == name and edge.task}

    def _value_of(self, name: str, run: StepRun, parameters: Mapping[str, Any]) -> Any:
        try:
            return run.run(parameters)
        except (KeyboardInterrupt, ExternalSignal):  # they are for the whole
            raise
        except BaseException as error:
            where = f"step {name!r}"
            raise flow_failed(name, self._checked.flows[name], error, where, run.run_id) from error

    def _mapped_value(self, edge: Edge, runs: Mapping[str, StepRun], values: Mapping[str, Any]) -> Any:
        try:
            given = runs[edge.parent].task_result(edge.task) if edge.task else values[edge.parent]
            return handed_over(edge, _copied(given) if edge.parent in self._kept else given)
        except Exception as error:
            where = f"step {edge.child!r}, parameter {edge.parameter!r}"
            raise value_missing(edge.child, self._checked.flows[edge.child], error, where) from error

    def _provenance(self) -> Provenance:
        """Return the provenance of the points: that of the code of the last step, named after the whole."""
        context = FlowRunContext.get()
        if context is None:
            raise RuntimeError("The points of a chunk were run outside of a flow run.")
        with context.model_copy(update={"flow": self._checked.flows[self._order[-1]]}):
            found = Provenance.here()
        backend = current_context().settings().backend
        return found.model_copy(update={"flow_name": self._checked.spec.name, "backend": backend})


def _progress(chunk: int, outcomes: Mapping[int, Outcome]) -> Progress:
    failed = [
        FailedPoint(index, outcome.error, outcome.step)
        for index, outcome in outcomes.items()
        if outcome.error is not None
    ]
    stored = [index for index, outcome in outcomes.items() if outcome.error is None]
    return Progress(chunk, stored, failed)


def _copied(value: Any) -> Any:
    """Return a copy, which a step may change without harm to the next point; if there can be one."""
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - whatever the class of a user says
        return value


def _nbytes(value: Any) -> int:
    """Return about how much memory the arrays in a value take."""
    if isinstance(value, Mapping):
        return sum(map(_nbytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_nbytes, value))
    return int(getattr(value, "nbytes", 0))
