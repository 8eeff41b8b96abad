"""One run of a flow in this process, and the handle on it."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from httpx import HTTPError
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import OrchestrationResult, SetStateStatus
from prefect.context import ContextModel, SettingsContext, TagsContext
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow
from prefect.states import Cancelled, Cancelling, Crashed, Pending, get_state_exception
from typing_extensions import override

from lume_services.errors import BackendError, RunTimeoutError
from lume_services.services.scheduling.backends.interruption import Interruption
from lume_services.services.scheduling.backends.surroundings import surroundings
from lume_services.services.scheduling.base import LogEntry, RunHandle
from lume_services.services.scheduling.failures import failure
from lume_services.services.scheduling.log_capture import captured, new_log
from lume_services.services.scheduling.places import HOLDER, this_process
from lume_services.services.scheduling.recording import TaskRecorder
from lume_services.services.scheduling.wrapping import run_within
from lume_services.values.secret import without_credentials

if TYPE_CHECKING:
    from prefect import Flow

    from lume_services.services.scheduling.api import PrefectAPI
    from lume_services.services.scheduling.run_configs import PrefectRunConfig

logger = logging.getLogger(__name__)

_CANCELLED = "Cancelled through its run handle."


class LocalRun(RunHandle):
    """A run in this process. It is created pending; `execute` runs it.

    `cancel` puts the run into the state Cancelling and stops the flow function as far as a thread can
    be stopped. An async flow ends at its next `await`; a sync one when Python code runs again in its
    thread, so after a `time.sleep` or the wait for a task. Tasks that are already running in threads or
    processes of a task runner end by themselves. `wait` tells when the run has really ended.

    Args:
        api: The API that keeps the run.
        flow: The flow.
        parameters: Its complete parameters.
        run_config: How to run it.
        task_names: The tasks whose values to keep; all if None.
    """

    def __init__(
        self,
        api: PrefectAPI,
        flow: Flow[..., Any],
        parameters: dict[str, Any],
        run_config: PrefectRunConfig,
        task_names: Collection[str] | None = None,
    ) -> None:
        self._api = api
        self._flow = flow
        self._parameters = parameters
        self._run_config = run_config
        self._recorder = TaskRecorder(task_names)
        self._interruption = Interruption()
        self._lines = new_log()
        self._ended = threading.Event()
        self._final: State[Any] | None = None
        self._value: Any = None
        self._error: BaseException | None = None
        self._flow_run = self._create()

    @property
    @override
    def run_id(self) -> str:
        return str(self._flow_run.id)

    @property
    @override
    def state(self) -> State[Any]:
        if self._final is not None:
            return self._final
        with self._api.entered() as client:
            return client.read_flow_run(self._flow_run.id).state or Pending()

    @property
    @override
    def tags(self) -> frozenset[str]:
        return frozenset(self._flow_run.tags)

    @override
    def wait(self, timeout: float | None = None) -> State[Any]:
        if not self._ended.wait(timeout) or self._final is None:
            raise RunTimeoutError(
                f"the run did not end within {timeout} s.",
                where=f"flow {self._flow.name!r}, run {self.run_id}",
                flow_name=self._flow.name,
                run_id=self.run_id,
            )
        return self._final

    @override
    def result(self, timeout: float | None = None) -> Any:
        state = self.wait(timeout)
        if state.is_completed():
            return self._value
        raise failure(state, self._error, flow_name=self._flow.name, run_id=self.run_id) from self._error

    @override
    def task_result(self, name: str) -> Any:
        self.wait()
        return self._recorder.result(name)

    @override
    def logs(self) -> list[LogEntry]:
        return list(self._lines)

    @override
    def cancel(self) -> None:
        if self._ended.is_set():
            return
        with self._api.entered() as client:
            answer: OrchestrationResult[Any] = client.set_flow_run_state(
                self._flow_run.id, Cancelling(message=_CANCELLED)
            )
        if answer.status is not SetStateStatus.ABORT:  # which says that the run has ended
            self._interruption.request()

    def start(self) -> None:
        """Run the flow in a thread of its own.

        The thread does not keep the program alive: a run that nobody waits for ends with it.
        """
        name = f"lume-run-{self._flow_run.name}"
        threading.Thread(target=_run_context().run, args=(self._execute,), name=name, daemon=True).start()

    def execute(self) -> None:
        """Run the flow in this thread.

        Raises:
            KeyboardInterrupt: The run was interrupted from the keyboard.
        """
        _run_context().run(self._execute)
        if isinstance(self._error, KeyboardInterrupt):
            raise self._error

    def _create(self) -> FlowRun:
        try:
            with self._api.entered() as client:
                run: FlowRun = client.create_flow_run(
                    self._flow,
                    parameters=self._flow.serialize_parameters(self._parameters),
                    state=Pending(),
                    tags=TagsContext.get().current_tags | self._run_config.tags,
                )
                if here := this_process():
                    client.update_flow_run_labels(run.id, {HOLDER: here})
                return run
        except (HTTPError, RuntimeError) as error:
            raise BackendError(
                f"the Prefect API does not create a flow run: {without_credentials(str(error))}",
                where=without_credentials(self._api.url),
                remedy="Check LUME_PREFECT__API_URL or PREFECT_API_URL, and that its server is running.",
            ) from error

    def _execute(self) -> None:
        try:
            with self._prepared():
                self._final = self._outcome(self._engine_state())
        except BaseException as error:  # noqa: BLE001 - reaches the caller through the handle
            self._error = self._error or error
            self._final = Crashed(message="The run could not be carried out.")
            with suppress(Exception):  # the API may be what failed
                self._settle(self._final)
        finally:
            self._ended.set()

    @contextmanager
    def _prepared(self) -> Iterator[None]:
        variables = self._run_config.job_variables
        with ExitStack() as stack:
            stack.enter_context(surroundings(variables.get("env", {}), variables.get("working_dir")))
            stack.enter_context(self._api.entered())
            stack.enter_context(self._api.takes_events())
            stack.enter_context(captured(self._lines))
            yield

    def _engine_state(self) -> State[Any] | None:
        """Run the engine and return the state in which it left the run, None if by an exception."""
        flow = run_within(self._interruption.possible, self._recorder.watch(self._flow))
        call: Callable[..., Any] = partial(run_flow, flow, self._flow_run, self._parameters)
        try:
            if self._flow.isgenerator:
                self._value = asyncio.run(self._collect(call)) if self._flow.isasync else list(call())
                return None
            state: State[Any] = (
                asyncio.run(self._await(call)) if self._flow.isasync else call(return_type="state")
            )
            return state
        except BaseException as error:  # noqa: BLE001 - SystemExit and Prefect's signals end a run too
            self._error = error
            return None

    async def _await(self, call: Callable[..., Any]) -> State[Any]:
        async with self._api.entered_async():
            state: State[Any] = await call(return_type="state")
            return state

    async def _collect(self, call: Callable[..., Any]) -> list[Any]:
        async with self._api.entered_async():
            return [item async for item in call()]

    def _outcome(self, state: State[Any] | None) -> State[Any]:
        """Return the final state of the run, given the one that the engine returned."""
        if self._interruption.requested:
            if isinstance(self._error, Abort):
                self._call_cancellation_hooks()
            return self._settle(Cancelled(message=_CANCELLED))
        if state is None:
            state = self.state
            return state if state.is_final() else self._settle(Crashed(message=repr(self._error)))
        if state.is_completed():
            # Prefect's own switch: otherwise the answer depends on the stack frames of the caller.
            self._value = state.result(_sync=True)  # type: ignore[call-overload]
        elif state.is_final():
            self._error = get_state_exception(state, _sync=True)  # type: ignore[assignment, call-arg]
        return state

    def _call_cancellation_hooks(self) -> None:
        """Do what the engine did not live to do."""
        for hook in self._flow.on_cancellation_hooks or ():
            try:
                called = hook(self._flow, self._flow_run, Cancelling(message=_CANCELLED))
                if inspect.iscoroutine(called):
                    asyncio.run(called)
            except Exception:
                logger.exception("The hook %r of flow %r failed", hook, self._flow.name)

    def _settle(self, state: State[Any]) -> State[Any]:
        with self._api.entered() as client:
            client.set_flow_run_state(self._flow_run.id, state, force=True)
        return state


def _run_context() -> contextvars.Context:
    """Return a copy of the current context without the flow or task run that may be in progress in it.

    Tags and settings are kept.
    """
    context = contextvars.Context()
    for variable, value in contextvars.copy_context().items():
        if not isinstance(value, ContextModel) or isinstance(value, (SettingsContext, TagsContext)):
            context.run(variable.set, value)
    return context
