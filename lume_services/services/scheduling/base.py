"""The interface of every backend: where flows run, and the handle on one run."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from lume_services.errors import (
    APIUnreachableError,
    NotAFlowError,
    RunNotFoundError,
    RunTimeoutError,
)
from lume_services.services.scheduling.event_loop import in_thread
from lume_services.services.scheduling.run_configs import RunConfig

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import State
    from prefect.schedules import Schedule

DEFAULT_PROJECT = "default"
_FOLLOW_SECONDS = 0.2


@dataclass(frozen=True)
class LogEntry:
    """One line of a run's log.

    Attributes:
        time: When it was written, UTC.
        level: The level of the `logging` module.
        run_name: The name of the flow run or task run that wrote it.
        message: The text.
    """

    time: datetime
    level: int
    run_name: str
    message: str

    def __str__(self) -> str:
        return f"{self.time:%H:%M:%S} {logging.getLevelName(self.level):8} {self.run_name}: {self.message}"


class RunHandle(ABC):
    """One flow run: in progress or ended.

    In async code, `await handle` gives the value of the flow, or raises, as `result` does.
    """

    @property
    @abstractmethod
    def run_id(self) -> str:
        """The id of the flow run."""

    @property
    @abstractmethod
    def state(self) -> State[Any]:
        """The Prefect state of the run now."""

    @property
    @abstractmethod
    def tags(self) -> frozenset[str]:
        """The Prefect tags of the run: its labels, and those that its flow was registered with."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> State[Any]:
        """Wait for the end of the run and return its final state, whatever that is.

        Args:
            timeout: Seconds to wait at most; for ever if None. The run goes on after it.

        Raises:
            RunTimeoutError: The run did not end in time.
        """

    def check_start(self, seconds: float) -> None:  # noqa: B027 - here, a run starts at once
        """Look why the run has not started, if it has not.

        Args:
            seconds: How long it was waited for.

        Raises:
            RunNotStartedError: That is longer than a run may wait for its start.
        """

    @abstractmethod
    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end of the run and return the value of the flow.

        Raises:
            FlowFailedError: The flow failed; the original exception is the cause, where there was one.
            FlowCrashedError: The run crashed.
            FlowCancelledError: The run was cancelled.
            UnsupportedRouteError: The flow needs a Prefect server, and none is configured.
            RunTimeoutError: The run did not end within `timeout` seconds.
        """

    def __await__(self) -> Generator[Any, Any, Any]:
        return in_thread(self.result).__await__()

    @abstractmethod
    def task_result(self, name: str) -> Any:
        """Wait for the end of the run and return what the task of exactly this name returned.

        Tasks of subflows are not looked at. The value of a task that was called several times is the
        list of its values, in the order of the calls. If the flow was retried, the last attempt counts.
        A task that completed has its value even if the flow failed after it.

        Raises:
            TaskNotInFlowError: No task of that name ran.
            TaskNotCompletedError: The task, or one of its calls, did not complete.
            EmptyResultError: The task completed, but its value was not kept.
        """

    @abstractmethod
    def logs(self) -> list[LogEntry]:
        """Return the lines logged so far by the run, its tasks and its subflows."""

    def follow_logs(self) -> Iterator[LogEntry]:
        """Yield the lines as they are logged, until the run has ended.

        Those of tasks and subflows come with those of the run, about a second after they were written.
        """
        seen = 0
        ended = False
        while True:
            lines = self.logs()
            yield from lines[seen:]
            seen = len(lines)
            if ended:
                return
            ended = self.state.is_final()
            time.sleep(_FOLLOW_SECONDS)

    @abstractmethod
    def cancel(self) -> None:
        """Ask the run to stop, and return at once. Does nothing if the run has ended."""


class Backend(ABC):
    """Where flows run.

    A new backend is a subclass that says how to register, load and run; `run_and_return` follows.
    """

    run_config_type: ClassVar[type[RunConfig]]
    in_process: ClassVar[bool] = False
    """Whether flows run in this process."""

    @abstractmethod
    def create_project(self, project_name: str) -> None:
        """Make a project known; one that exists is left as it is."""

    @abstractmethod
    def register_flow(
        self,
        flow: Flow[..., Any],
        project_name: str = DEFAULT_PROJECT,
        labels: Iterable[str] = (),
        *,
        schedule: Schedule | None = None,
        version: str | None = None,
        description: str | None = None,
    ) -> str:
        """Register a flow under its name in a project, in place of one of that name.

        To register the same again changes nothing.

        Args:
            flow: The flow.
            project_name: The project; it is created if need be.
            labels: Become Prefect tags of every run of the registered flow.
            schedule: When it runs by itself: Prefect's `Cron`, `Interval` or `RRule`.
            version: Default: that of the flow, else that of its package.
            description: Default: the flow's docstring.

        Returns:
            The id of the registered flow, `flow name/project name`.

        Raises:
            NotAFlowError: `flow` is not a Prefect flow, or no other process could import it.
            BackendError: The backend has no schedules.
        """

    @abstractmethod
    def load_flow(self, name: str, project_name: str | None = None) -> Flow[..., Any]:
        """Return a registered flow.

        Args:
            name: The flow's name, or the id that `register_flow` returned.
            project_name: The project; the default one if None and `name` is no id.

        Raises:
            FlowNotFoundError: No such flow is registered.
        """

    @abstractmethod
    def list_flows(self) -> list[str]:
        """Return the ids of all registered flows, sorted."""

    @abstractmethod
    def delete_flow(self, name: str, project_name: str | None = None) -> None:
        """Forget a registered flow; its runs stay.

        Raises:
            FlowNotFoundError: No such flow is registered.
        """

    @abstractmethod
    def run(
        self,
        flow: Flow[..., Any] | str,
        parameters: Mapping[str, Any] | None = None,
        run_config: RunConfig | Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> RunHandle:
        """Start a run and return its handle at once.

        Args:
            flow: A Prefect flow, or the name or id of a registered one.
            parameters: The parameters of the flow by name.
            run_config: A `run_config_type`, or a mapping of its fields.
            idempotency_key: What makes this run the same as one that was started before: where the backend
                knows a run of this key that has not failed, it returns the handle of that.

        Raises:
            NotAFlowError: `flow` is not a Prefect flow.
            FlowNotFoundError: No flow of that name is registered.
            FlowParametersError: A parameter is unknown, or a required one is missing.
            RunConfigError: The run config is not valid.
        """

    def find_run(self, run_id: str) -> RunHandle:
        """Return the handle on a run that was started before, perhaps by another process.

        Raises:
            RunNotFoundError: The backend knows no such run; one that keeps none never does.
        """
        raise RunNotFoundError(f"there is no run {run_id!r}.", where=type(self).__name__)

    def for_parents(self) -> Backend:
        """Return the backend of flows that do nothing but run others here: one that runs in this process."""
        return self

    def run_and_return(
        self,
        flow: Flow[..., Any] | str,
        parameters: Mapping[str, Any] | None = None,
        run_config: RunConfig | Mapping[str, Any] | None = None,
        *,
        task_name: str | None = None,
        timeout: float | None = None,
        cancel_on_timeout: bool = True,
    ) -> Any:
        """Run a flow to its end and return its value.

        Args:
            flow: A Prefect flow, or the name or id of a registered one.
            parameters: The parameters of the flow by name.
            run_config: A `run_config_type`, or a mapping of its fields.
            task_name: Return the value of this task instead, see `RunHandle.task_result`.
            timeout: Seconds to wait at most; for ever if None.
            cancel_on_timeout: Cancel the run when the timeout has passed.

        Raises:
            NotAFlowError, FlowNotFoundError, FlowParametersError, RunConfigError: As `run`.
            FlowFailedError, FlowCrashedError, FlowCancelledError, RunTimeoutError: As `RunHandle.result`.
            TaskNotInFlowError, TaskNotCompletedError, EmptyResultError: As `RunHandle.task_result`.
        """
        handle = self.run(flow, parameters, run_config)
        try:
            handle.wait(timeout)
        except RunTimeoutError as late:
            if cancel_on_timeout:
                _cancel(handle, late)
            raise
        return value_of(handle, task_name)

    async def arun_and_return(
        self,
        flow: Flow[..., Any] | str,
        parameters: Mapping[str, Any] | None = None,
        run_config: RunConfig | Mapping[str, Any] | None = None,
        *,
        task_name: str | None = None,
        timeout: float | None = None,
        cancel_on_timeout: bool = True,
    ) -> Any:
        """Run a flow to its end and return its value, as `run_and_return`, while the event loop goes on.

        Who stops to wait for it does not cancel the run.
        """
        return await in_thread(
            partial(
                self.run_and_return,
                flow,
                parameters,
                run_config,
                task_name=task_name,
                timeout=timeout,
                cancel_on_timeout=cancel_on_timeout,
            )
        )


def _cancel(handle: RunHandle, late: RunTimeoutError) -> None:
    """Cancel a run that is given up.

    Raises:
        RunTimeoutError: It may go on, as nobody could be told.
    """
    try:
        handle.cancel()
    except APIUnreachableError as error:
        raise RunTimeoutError(
            f"{late.message} It could not be cancelled, so it may go on: {error.message}",
            where=late.where,
            remedy=error.remedy,
            run_id=handle.run_id,
        ) from error


def value_of(handle: RunHandle, task_name: str | None) -> Any:
    """Return the value of the run, or of one of its tasks; a run that did not complete raises."""
    value = handle.result()
    return value if task_name is None else handle.task_result(task_name)


def require_flow(candidate: object) -> Flow[..., Any]:
    """Return `candidate` if it is a Prefect flow.

    Raises:
        NotAFlowError: It is something else.
    """
    from prefect import Flow, Task

    if isinstance(candidate, Flow):
        return candidate
    if isinstance(candidate, Task):
        remedy = "A task runs inside a flow: call it in a function decorated with @prefect.flow."
    elif callable(candidate):
        remedy = "Decorate the function with @prefect.flow."
    else:
        remedy = "Pass a function decorated with @prefect.flow, or the name of a registered flow."
    raise NotAFlowError(f"{candidate!r} is not a Prefect flow.", remedy=remedy)
