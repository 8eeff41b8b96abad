"""The local backend: flows run in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakValueDictionary

from prefect import Flow
from pydantic import SecretStr
from typing_extensions import override

from lume_services.errors import BackendError, FlowNotFoundError, RunNotFoundError, choose_from
from lume_services.services.scheduling.api import PrefectAPI, connect
from lume_services.services.scheduling.backends.local_run import LocalRun
from lume_services.services.scheduling.base import DEFAULT_PROJECT, Backend, require_flow, value_of
from lume_services.services.scheduling.parameters import bind_parameters
from lume_services.services.scheduling.run_configs import LocalRunConfig, RunConfig
from lume_services.services.scheduling.standin import stop_stand_in

if TYPE_CHECKING:
    from prefect.schedules import Schedule


class LocalBackend(Backend):
    """Runs Prefect flows, sync or async, in this process.

    The engine is Prefect's own. It keeps its runs in the API of `api_url`, else in the one of Prefect's
    setting `PREFECT_API_URL`, where they show in the UI; without either in the memory of this process,
    and no server is needed or started. Then there is no pausing, and no blocks, variables, deployments
    or concurrency limits; a flow that asks for one fails with `UnsupportedRouteError`.

    A run is one of its own, not a subflow, also when it is started inside a flow; for a subflow, call
    the flow. Registered flows are known as long as this backend.

    Args:
        api_url: The URL of a Prefect API, as `http://127.0.0.1:4200/api`.
        api_auth_string: The credentials for it, `user:password`.
        run_config: The fields of the run config that all runs have, unless they say otherwise.

    Raises:
        RunConfigError: `run_config` is not valid.
    """

    run_config_type: ClassVar[type[RunConfig]] = LocalRunConfig
    in_process: ClassVar[bool] = True

    def __init__(
        self,
        api_url: str | None = None,
        api_auth_string: SecretStr | None = None,
        run_config: Mapping[str, Any] | None = None,
    ) -> None:
        self._api_url = api_url
        self._auth_string = api_auth_string
        self._run_config = self.run_config_type.of(run_config, name="LUME_RUN_CONFIG")
        self._connection: PrefectAPI | None = None
        self._lock = threading.Lock()
        self._runs: WeakValueDictionary[str, LocalRun] = WeakValueDictionary()
        self._projects: dict[str, dict[str, tuple[Flow[..., Any], frozenset[str]]]] = {DEFAULT_PROJECT: {}}

    @override
    def create_project(self, project_name: str) -> None:
        with self._lock:
            self._projects.setdefault(project_name, {})

    @override
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
        require_flow(flow)
        if schedule is not None:
            raise BackendError(
                "nothing would run the flow: the local backend has no schedules.",
                where=f"flow {flow.name!r}",
                remedy="Choose a backend with a server, as LUME_BACKEND=process.",
            )
        self.create_project(project_name)
        self._projects[project_name][flow.name] = flow, frozenset(labels)
        return f"{flow.name}/{project_name}"

    @override
    def load_flow(self, name: str, project_name: str | None = None) -> Flow[..., Any]:
        return self._registered(name, project_name)[0]

    @override
    def list_flows(self) -> list[str]:
        return sorted(f"{name}/{project}" for project, flows in self._projects.items() for name in flows)

    @override
    def delete_flow(self, name: str, project_name: str | None = None) -> None:
        project, flow_name = self._names(name, project_name)
        del self._projects[project][flow_name]

    @override
    def run(
        self,
        flow: Flow[..., Any] | str,
        parameters: Mapping[str, Any] | None = None,
        run_config: RunConfig | Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> LocalRun:
        """Start a run, see `Backend.run`. A run ends with this process, so there is none to find again."""
        handle = self._new_run(flow, parameters, run_config)
        handle.start()
        return handle

    @override
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
        """Run a flow to its end and return its value, see `Backend.run_and_return`.

        Without a timeout the flow runs in the calling thread, so that Ctrl-C and the timeouts of
        Prefect interrupt it, unless an event loop runs in that thread.
        """
        if timeout is not None or _in_event_loop():
            return super().run_and_return(
                flow,
                parameters,
                run_config,
                task_name=task_name,
                timeout=timeout,
                cancel_on_timeout=cancel_on_timeout,
            )
        handle = self._new_run(flow, parameters, run_config, () if task_name is None else (task_name,))
        handle.execute()
        return value_of(handle, task_name)

    @override
    def find_run(self, run_id: str) -> LocalRun:
        """Return the handle on a run of this backend that is in progress, or whose handle somebody keeps.

        Raises:
            RunNotFoundError: There is none.
        """
        found = self._runs.get(run_id)
        if found is None:
            raise RunNotFoundError(
                f"there is no run {run_id!r} in this process.",
                where="local backend",
                remedy="Keep the handle that `run` returns.",
            )
        return found

    def close(self) -> None:
        """Stop the in-process API, unless a run of this process needs it; the next run starts another."""
        with self._lock:
            self._connection = None
        stop_stand_in()

    def _new_run(
        self,
        flow: Flow[..., Any] | str,
        parameters: Mapping[str, Any] | None,
        run_config: RunConfig | Mapping[str, Any] | None,
        task_names: Collection[str] | None = None,
    ) -> LocalRun:
        found, labels = self._registered(flow) if isinstance(flow, str) else (require_flow(flow), frozenset())
        bound = bind_parameters(found, parameters)
        built = self._run_config.updated(run_config).build()
        run = LocalRun(self._api(), found, bound, replace(built, tags=built.tags | labels), task_names)
        self._runs[run.run_id] = run
        return run

    def _registered(
        self, name: str, project_name: str | None = None
    ) -> tuple[Flow[..., Any], frozenset[str]]:
        project, flow_name = self._names(name, project_name)
        return self._projects[project][flow_name]

    def _names(self, name: str, project_name: str | None) -> tuple[str, str]:
        """Return the names of project and flow under which a flow is registered."""
        flow_name, _, project = (
            name.rpartition("/") if project_name is None and "/" in name else (name, "", "")
        )
        project = project or project_name or DEFAULT_PROJECT
        flows = self._projects.get(project)
        if flows is None:
            remedy = choose_from(project, self._projects)
            raise FlowNotFoundError(f"there is no project {project!r}.", where="local backend", remedy=remedy)
        if flow_name not in flows:
            raise FlowNotFoundError(
                f"no flow {flow_name!r} is registered in project {project!r}.",
                where="local backend",
                remedy=choose_from(flow_name, flows),
            )
        return project, flow_name

    def _api(self) -> PrefectAPI:
        with self._lock:
            if self._connection is None or not self._connection.serves():
                self._connection = connect(self._api_url, self._auth_string)
            return self._connection


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
