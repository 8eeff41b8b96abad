"""What all backends with a Prefect server have in common: work pool, deployments, runs."""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import DeploymentSort
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.utilities.importtools import import_object
from pydantic import SecretStr
from typing_extensions import override

from lume_services.errors import (
    BackendError,
    FlowNotFoundError,
    LUMEServicesError,
    PluginError,
    Problem,
    RunConfigError,
    RunNotFoundError,
    choose_from,
)
from lume_services.services.scheduling.backends.deployments import (
    Registration,
    attempts,
    importable_name_of,
)
from lume_services.services.scheduling.backends.local import LocalBackend
from lume_services.services.scheduling.backends.paging import every
from lume_services.services.scheduling.backends.persistence import RunResults
from lume_services.services.scheduling.backends.server_api import ServerAPI
from lume_services.services.scheduling.backends.server_run import ServerRun
from lume_services.services.scheduling.base import DEFAULT_PROJECT, Backend, require_flow
from lume_services.services.scheduling.parameters import jsonable_parameters
from lume_services.services.scheduling.reconcile import Reconciled, reconcile
from lume_services.services.scheduling.rendering import render, worker_class
from lume_services.services.scheduling.run_configs import RunConfig
from lume_services.services.scheduling.taken_runs import hand_back

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.schedules import Schedule
    from prefect.workers.base import BaseJobConfiguration

logger = logging.getLogger(__name__)


class ServerBackend(Backend):
    """Sends runs to a work pool of a Prefect server, from which a worker takes them.

    A flow becomes a deployment under its importable name: the package that has it is installed where the
    worker runs, or in the image of the job. Values come back as files of `result_filesystem`, which the
    jobs and their callers share.

    Args:
        api_url: The URL of the Prefect API; Prefect's `PREFECT_API_URL` if None.
        api_auth_string: The credentials for it, `user:password`.
        work_pool: The work pool, which is made if it is not there; `lume-` and its type if None.
        result_filesystem: The filesystem through which values come back.
        start_timeout_seconds: How long a run may wait for its start until that is an error.
        run_config: The fields of the run config that all runs have, unless they say otherwise. They become
            part of the deployments, so that runs by schedule have them, too.

    Raises:
        RunConfigError: `run_config` is not valid.
    """

    work_pool_type: ClassVar[str]
    jobs_end_with_worker: ClassVar[bool] = False
    """Whether a worker that is told to stop ends its jobs."""

    def __init__(
        self,
        *,
        api_url: str | None = None,
        api_auth_string: SecretStr | None = None,
        work_pool: str | None = None,
        result_filesystem: str = "local",
        start_timeout_seconds: float = 60.0,
        run_config: Mapping[str, Any] | None = None,
    ) -> None:
        self.work_pool = work_pool or f"lume-{self.work_pool_type}"
        self.start_timeout_seconds = start_timeout_seconds
        self._api_url = api_url
        self._auth_string = api_auth_string
        self._run_config = self.run_config_type.of(run_config, name="LUME_RUN_CONFIG")
        self._results = RunResults(result_filesystem)
        self._connection: ServerAPI | None = None
        self._lock = threading.Lock()

    # what a backend does in its own way -----------------------------------------------------------

    @abstractmethod
    def _flow_variables(self, entrypoint: str) -> dict[str, Any]:
        """Return the job variables of all runs of a flow."""

    def _job_template(self) -> dict[str, Any]:
        """Return the base job template of a new work pool."""
        return worker_class(self.work_pool_type).get_default_base_job_template()

    def _job_problems(self, job: BaseJobConfiguration) -> list[Problem]:  # noqa: ARG002
        """Return what is wrong with a job although Prefect takes it."""
        return []

    def _diagnosis(self, run: FlowRun) -> LUMEServicesError | None:  # noqa: ARG002
        """Return why the job of a run does not start, or has crashed, where this is known."""
        return None

    # what all do alike ----------------------------------------------------------------------------

    @override
    def create_project(self, project_name: str) -> None:
        """Do nothing: a project is part of the names of its deployments."""

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
        tags = self._run_config.build().tags | frozenset(labels)
        return self._registered(
            Registration(
                require_flow(flow),
                project_name,
                self.work_pool,
                tags=tags,
                schedule=schedule,
                version=version,
                description=description,
            )
        )

    @override
    def load_flow(self, name: str, project_name: str | None = None) -> Flow[..., Any]:
        with self._server().client() as client:
            entrypoint = importable_name_of(self._deployment(client, name, project_name).entrypoint or "")
        try:
            return require_flow(import_object(entrypoint))
        except (ImportError, AttributeError, ValueError) as error:
            raise PluginError(
                f"cannot import the flow as {entrypoint!r}: {error}.",
                where=f"flow {name!r}",
                remedy="Install the package that has it into this environment.",
            ) from error

    @override
    def list_flows(self) -> list[str]:
        with self._server().client() as client:
            found = every(
                lambda limit, offset: client.read_deployments(
                    limit=limit, offset=offset, sort=DeploymentSort.NAME_ASC
                )
            )
            flow_names = {
                flow_id: client.read_flow(flow_id).name for flow_id in {one.flow_id for one in found}
            }
            names = [f"{flow_names[one.flow_id]}/{one.name}" for one in found]
        return sorted(names)

    @override
    def delete_flow(self, name: str, project_name: str | None = None) -> None:
        with self._server().client() as client:
            client.delete_deployment(self._deployment(client, name, project_name).id)

    @override
    def run(
        self,
        flow: Flow[..., Any] | str,
        parameters: Mapping[str, Any] | None = None,
        run_config: RunConfig | Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> ServerRun:
        given = self.run_config_type.of(run_config)
        if isinstance(flow, str):  # what it was registered with counts, not what is configured here
            name, built = flow, given.build()
        else:
            wanted = Registration(require_flow(flow), DEFAULT_PROJECT, self.work_pool)
            name, built = self._registered(wanted, only_code=True), self._run_config.updated(given).build()
        with self._server().client() as client:
            deployment = self._deployment(client, name, None)
            schema = deployment.parameter_openapi_schema or {}
            arguments = jsonable_parameters(schema, parameters, name, self._results.keep_parameter)
            variables = dict(built.job_variables)
            pool = deployment.work_pool_name or self.work_pool
            self._check_job(client, pool, {**deployment.job_variables, **variables})
            self._results.ensure_known(client)
            for key in attempts(idempotency_key):
                # Inside of a flow run, it becomes a child of that.
                run: FlowRun = run_deployment(  # type: ignore[assignment, call-overload, call-arg, unused-ignore]
                    deployment.id,
                    parameters=arguments,
                    timeout=0,
                    tags=sorted(built.tags),
                    work_queue_name=built.work_queue,
                    job_variables=variables,
                    idempotency_key=key,
                    _sync=True,
                )
                if run.state is None or not run.state.is_final() or run.state.is_completed():
                    break
        return self.handle(run)

    @override
    def find_run(self, run_id: str) -> ServerRun:
        try:
            with self._server().client() as client:
                return self.handle(client.read_flow_run(UUID(run_id)))
        except (ObjectNotFound, ValueError) as error:
            raise RunNotFoundError(
                f"the Prefect server has no run {run_id!r}.",
                where=self._server().where,
                remedy="Check the id and LUME_PREFECT__API_URL; `prefect flow-run ls` lists the runs.",
            ) from error

    @override
    def for_parents(self) -> Backend:
        """Return a backend that runs flows in this process, with the same server."""
        return LocalBackend(self._api_url, self._auth_string)

    def handle(self, run: FlowRun) -> ServerRun:
        """Return the handle on a run of this server."""
        return ServerRun(self._server, run, self._results, self.start_timeout_seconds, self._diagnosis)

    def close(self) -> None:
        """Forget the connection; the next use makes another."""
        with self._lock:
            self._connection = None

    def ensure_work_pool(self) -> None:
        """Make the work pool, unless it is there.

        Raises:
            BackendError: It is there, and of another type.
        """
        with self._server().client() as client:
            self._ensure_work_pool(client)

    def reconcile(self, held: Collection[UUID]) -> list[Reconciled]:
        """Bring the runs that nobody carries on to a true state, and return them.

        Args:
            held: Runs that the worker in this process carries on.
        """
        with self._server().client() as client:
            return reconcile(client, held=held)

    def hand_back(self, run_ids: Collection[UUID]) -> None:
        """Bring the runs that a worker held when it was told to stop to a true state.

        Raises:
            BackendError: The server does not answer.
        """
        with self._server().client() as client:
            hand_back(client, run_ids, jobs_ended=self.jobs_end_with_worker)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Make Prefect use this server in the block."""
        with self._server().client():
            yield

    def _server(self) -> ServerAPI:
        with self._lock:
            if self._connection is None or not self._connection.serves():
                self._connection = ServerAPI(self._api_url, self._auth_string)
            return self._connection

    def _registered(self, wanted: Registration, *, only_code: bool = False) -> str:
        """Register a flow with the run config that all runs have, and return its id."""
        built = self._run_config.build()
        variables = {**self._flow_variables(wanted.entrypoint), **built.job_variables}
        if wanted.environment:
            variables["env"] = {**variables.get("env", {}), **wanted.environment}
        with self._server().client() as client:
            self._ensure_work_pool(client)
            self._results.ensure_known(client)
            if wanted.schedule is not None:  # nobody else looks at what runs by itself
                self._check_job(client, self.work_pool, variables)
            complete = replace(wanted, work_queue=built.work_queue, job_variables=variables)
            changed = complete.apply(client, only_code=only_code)
        logger.info(
            "Flow %s %s", wanted.name, "is registered" if changed else "was registered; nothing changed"
        )
        return wanted.name

    def _variables_of(self, run: FlowRun) -> dict[str, Any]:
        """Return the job variables of a run, those of its deployment among them."""
        with self._server().client() as client:
            of_all = client.read_deployment(run.deployment_id).job_variables if run.deployment_id else {}
        return {**of_all, **(run.job_variables or {})}

    def _ensure_work_pool(self, client: SyncPrefectClient) -> None:
        try:
            found = client.read_work_pool(self.work_pool)
        except ObjectNotFound:
            wanted = WorkPoolCreate(
                name=self.work_pool, type=self.work_pool_type, base_job_template=self._job_template()
            )
            with suppress(ObjectAlreadyExists):  # another process has just made it
                client.create_work_pool(wanted)
            found = client.read_work_pool(self.work_pool)
        if found.type != self.work_pool_type:
            raise BackendError(
                f"the work pool {self.work_pool!r} is for {found.type!r}, not {self.work_pool_type!r}.",
                where="LUME_PREFECT__WORK_POOL",
                remedy="Choose another name, or leave it out.",
            )

    def _check_job(self, client: SyncPrefectClient, pool_name: str, variables: Mapping[str, Any]) -> None:
        """Look at the job that these variables give.

        Raises:
            RunConfigError: The work pool or its worker could do nothing with it.
        """
        pool = client.read_work_pool(pool_name)
        job = render(pool.base_job_template, variables, work_pool_type=pool.type, pool=pool.name)
        problems = self._job_problems(job)
        if problems:
            raise RunConfigError(f"the job for the work pool {pool.name!r} cannot start", problems)

    def _deployment(
        self, client: SyncPrefectClient, name: str, project_name: str | None
    ) -> DeploymentResponse:
        full_name = (
            name if "/" in name and project_name is None else f"{name}/{project_name or DEFAULT_PROJECT}"
        )
        try:
            return client.read_deployment_by_name(full_name)
        except (ObjectNotFound, ValueError) as error:
            raise FlowNotFoundError(
                f"no flow {full_name!r} is registered.",
                where=f"{self.work_pool_type} backend",
                remedy=choose_from(full_name, self.list_flows()),
            ) from error
