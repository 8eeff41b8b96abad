"""Run the steps of a plan, each as soon as the steps before it are done."""

from __future__ import annotations

import contextvars
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from prefect import Flow
from prefect.context import FlowRunContext

from lume_services.config import current_context
from lume_services.errors import BackendError, StepFailedError
from lume_services.flows.artifacts import publish
from lume_services.flows.check import CheckedSpec
from lume_services.flows.code.code import Code
from lume_services.flows.code.made import modules_of
from lume_services.flows.code.read import code_of
from lume_services.flows.events import Observer, StepEvent, StepState
from lume_services.flows.failure import flow_failed, not_kept, parent_missing, value_missing
from lume_services.flows.plan import Edge, Plan
from lume_services.flows.runs.identity import Identity
from lume_services.flows.runs.lease import Lease
from lume_services.flows.runs.records import RunRecord, RunRecords, StepRecord
from lume_services.flows.runs.request import RunRequest
from lume_services.flows.runs.reuse import Decision, EarlierSteps
from lume_services.flows.steps import StepRun, handed_over, step_backend, step_run
from lume_services.results import Provenance
from lume_services.services.scheduling import Backend, RunConfig
from lume_services.services.scheduling.parameters import bind_parameters
from lume_services.values.written import Loc

# A thread that waits sees a stop that was asked for when it wakes up.
WAKE_UP_SECONDS = 0.2


@dataclass
class _Step:
    """A step that was started, and in the end its value or why it has none."""

    name: str
    run: StepRun
    tasks: Collection[str]
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    decision: Decision | None = None
    identity: Identity | None = None
    record_id: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    classes: Collection[str] = ()
    value: Any = None
    failure: StepFailedError | None = None

    @property
    def ended(self) -> StepState:
        """How the step has ended."""
        if self.failure is not None:
            return "failed"
        return "reused" if self.decision is not None and self.decision.record is not None else "completed"

    @property
    def run_id(self) -> str | None:
        record = self.decision.record if self.decision else None
        return record.flow_run_id if record else self.run.run_id

    def task_result(self, name: str) -> Any:
        record = self.decision.record if self.decision else None
        return record.tasks[name] if record else self.run.task_result(name)


class Execution:
    """One run of all steps, inside of a flow run: the run of every step is a child of it.

    What every step gave is kept in the results store, so that another run can take it from there.

    Args:
        checked: The spec and its flows.
        plan: Its graph.
        backend: Runs the steps.
        observer: Is told what happens to the steps.
        request: What is asked of the run.
        ended: The ids of the steps that ended in earlier attempts of this run; takes those of this one.
    """

    def __init__(
        self,
        checked: CheckedSpec,
        plan: Plan,
        backend: Backend,
        observer: Observer,
        request: RunRequest,
        *,
        ended: set[str],
    ) -> None:
        self._checked = checked
        self._plan = plan
        self._backend = backend
        self._observer = observer
        self._request = request
        self._ended = ended
        self._parents = request.part_of(plan)
        self._records = RunRecords()
        self._events: dict[str, StepEvent] = {}
        self._steps: dict[str, _Step] = {}
        self._running: dict[str, _Step] = {}
        self._news: SimpleQueue[tuple[_Step, StepState]] = SimpleQueue()

    def run(self, values: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Run all steps and return the value of every flow by the name of its step.

        After a step has failed, none is started; those that run are left to finish. If this thread is
        stopped, they are stopped too.

        Args:
            values: The parameters that no other step gives, by step.

        Raises:
            StepFailedError: A step failed; of several, the first.
            RunTakenOverError: Another process carries on the run.
        """
        for name in self._parents:
            self._tell(name, "queued")
        with self._begun():
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
        ended = {name: step.value for name, step in self._steps.items() if step.failure is None}
        publish(self._plan, self._events, ended)
        for failure in failures:
            raise failure
        return {name: ended[name] for name in self._plan.steps if name in ended}

    @contextmanager
    def _begun(self) -> Iterator[None]:
        """Hold the lease of the run, with what earlier runs did."""
        context = FlowRunContext.get()
        if context is None or context.flow_run is None:
            raise RuntimeError("the steps were run outside of a flow run")
        self._run_id = str(context.flow_run.id)
        self._root = self._request.root or self._run_id
        service = current_context().results_db_service()
        with Lease(service, self._root) as self._lease:
            self._records.begin(self._run_record())
            resumes = self._request.root is not None or context.flow_run.run_count > 1
            earlier = self._records.steps(self._root) if resumes else []
            self._earlier = EarlierSteps(self._records, earlier, self._request.again, self._ended)
            yield

    def _run_record(self) -> RunRecord:
        spec, document = self._checked.spec, self._checked.document
        return RunRecord(
            run_id=self._run_id,
            root=self._root,
            name=spec.name,
            project_name=spec.project_name,
            spec=document.data,
            folder=str(document.folder) if document.folder else None,
            place=str(Path(document.source).resolve() if document.source else Path.cwd()),
            parameters={
                step: self._without_secrets(step, values) for step, values in self._request.parameters.items()
            },
            backend=str(current_context().settings().backend),
            provenance=Provenance.here().model_dump(exclude_none=True),
        )

    def _without_secrets(self, step: str, values: Mapping[str, Any]) -> dict[str, Any]:
        known = self._checked.signatures[step].parameters
        return {name: value for name, value in values.items() if not (name in known and known[name].secret)}

    def _run_all(self, values: Mapping[str, Mapping[str, Any]]) -> list[StepFailedError]:
        order = TopologicalSorter(self._parents)
        order.prepare()
        limit = self._request.limit or len(self._parents)
        ready: list[str] = []
        failures: list[StepFailedError] = []
        while self._running or (order.is_active() and not failures):
            ready += order.get_ready()
            while ready and not failures and len(self._running) < limit:
                self._lease.check()
                name = ready.pop(0)
                self._start(name, values[name])
            step = self._next_ended()
            order.done(step.name)
            if step.failure is not None:
                failures.append(step.failure)
        return failures

    def _start(self, name: str, values: Mapping[str, Any]) -> None:
        tasks = {edge.task for edge in self._plan.edges if edge.parent == name and edge.task}
        backend, run_config = self._place(name)
        run = step_run(backend, self._flow(name), name, run_config, tasks)
        step = _Step(name, run, tasks)
        self._steps[name] = self._running[name] = step
        # In a copy of this context, the run is a child of the flow run of this thread.
        context = contextvars.copy_context()
        Thread(target=context.run, args=(self._run_step, step, values), name=name, daemon=True).start()

    def _next_ended(self) -> _Step:
        while True:
            try:
                step, state = self._news.get(timeout=WAKE_UP_SECONDS)
            except Empty:
                continue
            self._tell(step.name, state)
            if state != "running":
                del self._running[step.name]
                return step

    def _run_step(self, step: _Step, values: Mapping[str, Any]) -> None:
        try:
            mapped = {edge.parameter: self._mapped_value(edge) for edge in self._plan.into(step.name)}
            self._take_or_run(step, {**values, **mapped})
        except StepFailedError as failure:
            step.failure = failure
        except BaseException as error:  # noqa: BLE001 - it would end with this thread
            step.failure = not_kept(step.name, self._flow(step.name), error, self._where(step.name))
        finally:
            step.seconds = time.monotonic() - step.clock
            self._news.put((step, step.ended))

    def _take_or_run(self, step: _Step, parameters: Mapping[str, Any]) -> None:
        """Take the value of the step from an earlier run, or run its flow."""
        flow = self._flow(step.name)
        step.classes = modules_of(parameters)
        step.identity = Identity.of(step.name, flow, self._code(step), parameters)
        step.decision = self._earlier.decide(step.identity, step.tasks)
        if step.decision.record is not None:
            step.value, step.record_id = step.decision.record.value, step.decision.record.id
        elif self._request.only not in (None, step.name):
            raise parent_missing(
                step.name, flow, self._request.only, step.decision.why, self._where(step.name)
            )
        else:
            mapped = {edge.parameter for edge in self._plan.into(step.name)}
            bound = bind_parameters(flow, parameters)
            given = {name: value for name, value in bound.items() if name not in mapped}
            step.given = self._without_secrets(step.name, given)
            self._news.put((step, "running"))
            self._run_flow(step, flow, parameters)

    def _run_flow(self, step: _Step, flow: Flow[..., Any], parameters: Mapping[str, Any]) -> None:
        try:
            step.value = step.run.run(parameters, self._idempotency_key(step))
        except BaseException as error:
            where = self._where(step.name)
            step.failure = flow_failed(step.name, flow, error, where, step.run.run_id)
            self._keep(step)
            raise step.failure from error
        self._keep(step)

    def _idempotency_key(self, step: _Step) -> str:
        """Return what the run of a step is found by after this process was killed."""
        key = step.identity.key if step.identity else None
        anew = key is None or (step.decision is not None and step.decision.anew)
        return f"{self._root}:{step.name}:{self._run_id if anew else key}"

    def _keep(self, step: _Step) -> None:
        """Store how a step ended, before anybody is told."""
        if step.identity is None:
            return
        failed = step.failure is not None
        parents = {edge.parent: self._steps[edge.parent].record_id for edge in self._plan.into(step.name)}
        record = StepRecord(
            run_id=self._run_id,
            root=self._root,
            step=step.name,
            flow=self._plan.steps[step.name].name,
            state="failed" if failed else "completed",
            code=self._code_that_ran(step, step.identity.code),
            inputs=step.identity.inputs,
            parents=parents,
            began=step.began,
            seconds=time.monotonic() - step.clock,
            flow_run_id=step.run.run_id,
            error=str(step.failure) if failed else None,
            given=step.given,
            tasks={} if failed else _kept_tasks(step),
            value=step.value,
        )
        self._records.end(record)
        self._ended.add(record.id)
        step.record_id = record.id

    def _code(self, step: _Step) -> Code:
        backend, _ = self._place(step.name)
        entrypoint = self._plan.steps[step.name].entrypoint
        elsewhere = not backend.in_process
        return code_of(self._flow(step.name), entrypoint, classes=step.classes, elsewhere=elsewhere)

    def _code_that_ran(self, step: _Step, before: Code) -> Code:
        """Return the code with which a step began, if it is still the same: modules may be loaded late."""
        # The values that it encloses are those with which it began.
        after = replace(self._code(step), enclosed=before.enclosed)
        if before.problem is None and (changed := after.differences(before)):
            return replace(before, problem=f"it changed while the step ran: {', '.join(changed)}")
        return before

    def _place(self, name: str) -> tuple[Backend, RunConfig]:
        return step_backend(self._backend, self._checked.spec, self._plan.steps[name])

    def _mapped_value(self, edge: Edge) -> Any:
        """Return what goes over an edge."""
        parent = self._steps[edge.parent]
        try:
            return handed_over(edge, parent.task_result(edge.task) if edge.task else parent.value)
        except Exception as error:
            where = self._where(edge.child, "mapped_parameters", edge.parameter)
            raise value_missing(edge.child, self._flow(edge.child), error, where) from error

    def _flow(self, name: str) -> Flow[..., Any]:
        return self._checked.flows[name]

    def _where(self, name: str, *part: str) -> str:
        loc: Loc = ("composing_flows", list(self._plan.steps).index(name), *part)
        return self._checked.document.where(loc)

    def _tell(self, name: str, state: StepState) -> None:
        step = self._steps.get(name)
        event = StepEvent(
            step=name,
            flow=self._plan.steps[name].name,
            state=state,
            duration=step.seconds if step and state != "running" else None,
            run_id=step.run_id if step else None,
            why=step.decision.why if step and step.decision else None,
            error=str(step.failure) if step and step.failure else None,
        )
        self._events[name] = event
        self._observer(event)


def _kept_tasks(step: _Step) -> dict[str, Any]:
    """Return the values of the tasks that the spec names; one without is told of where it is needed."""
    found = {}
    for name in step.tasks:
        try:
            found[name] = step.task_result(name)
        except BackendError:
            continue
    return found
