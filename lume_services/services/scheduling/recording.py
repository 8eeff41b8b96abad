"""What the tasks of a flow returned, by name, without their results being persisted.

Prefect hands a task's value to its caller and, if persistence is on, to a store. Switching persistence
on for the sake of a value would also switch on Prefect's default caching, and so change which tasks
run. It has no hook that sees every task run either: hooks belong to one task object. So two of the
objects that the engine asks on the way are replaced, for one run of the flow function, by subclasses
that take notes: the result store, which every task run of the process asks for its own (that shows the
engine's live record of the task run, with its state), and the task runner, which is given the
submitted ones (that shows their order, and the state of those that run in another process).
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import Flow, Task
from prefect.client.schemas.objects import TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectSignal
from prefect.futures import PrefectTaskRunFuture
from prefect.results import ResultStore
from prefect.task_runners import TaskRunner
from pydantic import PrivateAttr
from typing_extensions import override

from lume_services.errors import EmptyResultError, TaskNotCompletedError, TaskNotInFlowError, choose_from
from lume_services.services.scheduling.wrapping import run_within


class TaskRecorder:
    """Keeps what the tasks of one flow run return.

    ```python
    recorder = TaskRecorder(["save_file"])
    value = recorder.watch(my_flow)(x=1)
    recorder.result("save_file")
    ```

    Args:
        names: The tasks whose values to keep; all if None. A value is kept as long as the recorder.
    """

    def __init__(self, names: Collection[str] | None = None) -> None:
        self._names = names
        self._flow_name = ""
        self._lock = threading.Lock()
        self._attempt = _Attempt()

    def watch(self, flow: Flow[..., Any]) -> Flow[..., Any]:
        """Return the flow, made so that its tasks are recorded here when it runs.

        It can be run in any way that the flow itself can, as a subflow too. Tasks of its own subflows
        are not recorded. If it runs more than once, for a retry, the last attempt counts.
        """
        self._flow_name = flow.name
        return run_within(functools.partial(self._recording, flow), flow)

    def result(self, name: str) -> Any:
        """Return what the task of exactly this name returned.

        The value of a task that was called several times is the list of its values, in the order of
        the calls.

        Raises:
            TaskNotInFlowError: No task of that name was called.
            TaskNotCompletedError: The task, or one of its calls, did not complete.
            EmptyResultError: The task completed, but its value was not kept.
        """
        where = f"flow {self._flow_name!r}"
        with self._lock:
            calls = sorted((c for c in self._attempt.calls.values() if c.name == name), key=lambda c: c.order)
            ran = sorted(self._attempt.names)
        if name not in ran:
            raise TaskNotInFlowError(
                f"no task named {name!r} ran.", where=where, remedy=choose_from(name, ran), task_name=name
            )
        values = [call.value(where) for call in calls]
        if not values:
            raise self._not_kept(name, where)
        return values[0] if len(values) == 1 else values

    def outcomes(self) -> dict[str, list[Any]]:
        """Wait for all tasks and return what their calls returned, by name; or the error in its place."""
        where = f"flow {self._flow_name!r}"
        with self._lock:
            calls = sorted(self._attempt.calls.values(), key=lambda call: call.order)
            found: dict[str, list[Any]] = {name: [] for name in sorted(self._attempt.names)}
        for call in calls:
            found[call.name].append(call.outcome(where))
        return found

    def _not_kept(self, name: str, where: str) -> Exception:
        if self._names is None or name in self._names:
            return TaskNotCompletedError(
                f"task {name!r} did not start.", where=where, remedy=_LOOK_UPSTREAM, task_name=name
            )
        return EmptyResultError(f"the value of task {name!r} was not kept.", where=where, task_name=name)

    @contextmanager
    def _recording(self, flow: Flow[..., Any]) -> Iterator[None]:
        context = FlowRunContext.get()
        if context is None or context.flow_run is None:
            raise RuntimeError("The function of a watched flow was called outside a flow run.")
        attempt = _Attempt(context.flow_run.id, flow)
        with self._lock:
            self._attempt = attempt
        store = _RecordingStore.of(context.result_store, functools.partial(self._began, attempt))
        runner = _RecordingRunner(context.task_runner, functools.partial(self._submitted, attempt))
        # With the flow itself in place of the watched one, the context can be sent to another process.
        with context.model_copy(update={"flow": flow, "result_store": store, "task_runner": runner}):
            yield

    def _began(self, attempt: _Attempt, task: Task[..., Any]) -> None:
        """Note a task run: the store was asked for the store of `task`.

        The engine asks twice: when it makes the task run, then inside the run, with the run at hand.
        """
        flow = FlowRunContext.get()
        if flow is None or flow.flow_run is None or flow.flow_run.id != attempt.flow_run_id:
            return
        if flow.flow is not attempt.flow:  # one that is called at many points within the flow run
            return
        with self._lock:
            attempt.names.add(task.name)
            run = TaskRunContext.get()
            if run is not None and run.task is task and self._keeps(task.name):
                attempt.call(run.task_run.id, task.name).run = run.task_run

    def _submitted(self, attempt: _Attempt, task: Task[..., Any], submit: Callable[[], Future]) -> Future:
        with self._lock:
            attempt.names.add(task.name)
            order = next(attempt.counter)
        future = submit()
        if self._keeps(task.name):
            with self._lock:
                call = attempt.call(future.task_run_id, task.name)
                call.order, call.future = order, future
        return future

    def _keeps(self, name: str) -> bool:
        return self._names is None or name in self._names


Future = PrefectTaskRunFuture[Any]

_LOOK_UPSTREAM = "A task that it waits for failed, or the run was stopped before it; see the run's logs."


@dataclass
class _Call:
    """One call of a task: its place in the order, and where its state can be read."""

    name: str
    order: int
    run: TaskRun | None = None
    future: Future | None = None

    def value(self, where: str) -> Any:
        """Return what the call returned.

        Raises:
            TaskNotCompletedError: It did not complete.
        """
        if self.run is not None and self.run.state is not None:
            if self.run.state.is_completed():
                # Prefect's own switch: in an event loop it would give a coroutine.
                return self.run.state.result(_sync=True)  # type: ignore[call-overload]
            raise self._not_completed(f"is {self.run.state.name}: {self.run.state.message}", where)
        if self.future is None:
            raise self._not_completed("did not start", where)
        try:
            return self.future.result(timeout=0)
        except (Exception, CancelledError, PrefectSignal) as error:
            raise self._not_completed(f"failed: {error!r}", where) from error

    def outcome(self, where: str) -> Any:
        """Wait for the call, and return what it returned or the error of `value`."""
        if self.future is not None:
            self.future.wait()
        try:
            return self.value(where)
        except TaskNotCompletedError as error:
            return error

    def _not_completed(self, what: str, where: str) -> TaskNotCompletedError:
        return TaskNotCompletedError(f"task {self.name!r} {what}.", where=where, task_name=self.name)


class _Attempt:
    """The calls of one run of the flow function."""

    def __init__(self, flow_run_id: UUID | None = None, flow: Flow[..., Any] | None = None) -> None:
        self.flow_run_id = flow_run_id
        self.flow = flow
        self.names: set[str] = set()
        self.calls: dict[UUID, _Call] = {}
        self.counter = itertools.count()

    def call(self, task_run_id: UUID, name: str) -> _Call:
        """Return the call of that task run, noted now if it is new."""
        if task_run_id not in self.calls:
            self.calls[task_run_id] = _Call(name, next(self.counter))
        return self.calls[task_run_id]


class _RecordingStore(ResultStore):
    """A result store that tells for which tasks it was asked."""

    _began: Callable[[Task[..., Any]], None] = PrivateAttr()

    @classmethod
    def of(cls, store: ResultStore, began: Callable[[Task[..., Any]], None]) -> _RecordingStore:
        """Return a store equal to `store`."""
        recording = cls.model_construct(_fields_set=set(store.model_fields_set), **dict(store))
        recording._began = began  # noqa: SLF001 - its own class
        return recording

    @override
    def update_for_task(self, task: Task[..., Any], **options: Any) -> Any:
        self._began(task)
        return super().update_for_task(task, **options)

    @override
    async def aupdate_for_task(self, task: Task[..., Any]) -> Any:
        self._began(task)
        return await super().aupdate_for_task(task)


class _RecordingRunner(TaskRunner[Future]):
    """A task runner that tells which tasks were submitted to it, and hands them on."""

    def __init__(
        self,
        runner: TaskRunner[Any],
        submitted: Callable[[Task[..., Any], Callable[[], Future]], Future],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._runner = runner
        self._submitted = submitted
        self._started = True

    @override
    def duplicate(self) -> _RecordingRunner:
        return _RecordingRunner(self._runner.duplicate(), self._submitted)

    @override
    def submit(
        self, task: Task[..., Any], parameters: dict[str, Any], wait_for: Any = None, dependencies: Any = None
    ) -> Any:
        submit = functools.partial(self._runner.submit, task, parameters, wait_for, dependencies)
        return self._submitted(task, submit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)
