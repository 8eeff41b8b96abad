"""A flow of an installed package becomes a Prefect deployment, without code storage."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from itertools import count
from typing import TYPE_CHECKING, Any

from prefect import Flow
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentScheduleUpdate
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.runner.storage import LocalStorage
from prefect.types.entrypoint import EntrypointType
from typing_extensions import override

from lume_services.errors import NotAFlowError
from lume_services.services.scheduling.travelling import TRAVELLING, TravellingFlow

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.schedules import Schedule

_JOBS = "lume_services.flows.jobs."
_COMPARED = (
    "version",
    "description",
    "tags",
    "work_pool_name",
    "work_queue_name",
    "entrypoint",
    "job_variables",
    "enforce_parameter_schema",
)


@dataclass(frozen=True)
class Registration:
    """A flow as it is to be registered.

    Attributes:
        flow: The flow.
        project_name: The name of the deployment.
        work_pool: The name of its work pool.
        work_queue: The queue of that pool; its default one if None.
        job_variables: For the job template of that pool.
        tags: The tags of all runs.
        schedule: When it runs by itself.
        version: Default: that of the flow, else that of its package.
        description: Default: that of the flow.
    """

    flow: Flow[..., Any]
    project_name: str
    work_pool: str
    work_queue: str | None = None
    job_variables: Mapping[str, Any] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    schedule: Schedule | None = None
    version: str | None = None
    description: str | None = None

    @property
    def name(self) -> str:
        """The id of the registered flow, `flow name/project name`."""
        return f"{self.flow.name}/{self.project_name}"

    @functools.cached_property
    def entrypoint(self) -> str:
        """The name under which a job imports the flow, made so that its values are kept.

        Raises:
            NotAFlowError: No other process could import it.
        """
        if isinstance(self.flow, TravellingFlow):
            return _JOBS + self.flow.entrypoint
        return _JOBS + importable_name(self.flow).replace(".", "/")

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables with which the flow travels."""
        return self.flow.environment() if isinstance(self.flow, TravellingFlow) else {}

    def apply(self, client: SyncPrefectClient, *, only_code: bool = False) -> bool:
        """Make the deployment what this says, and return whether anything changed.

        Args:
            client: Of the server.
            only_code: Leave the tags, the description and the schedules of one that is there as they are.

        Raises:
            NotAFlowError: As `entrypoint`.
        """
        wanted = self._deployment()
        try:
            found = client.read_deployment_by_name(self.name)
        except ObjectNotFound:
            found = None
        if found is not None:
            if only_code:
                wanted.tags, wanted.description = list(found.tags), found.description
                wanted.schedules = _schedules_of(found)
            if _differences(wanted, found) == []:
                return False
        wanted.apply(_sync=True)  # type: ignore[call-arg]
        return True

    def _deployment(self) -> RunnerDeployment:
        deployment: RunnerDeployment = RunnerDeployment.from_flow(
            self.flow,
            name=self.project_name,
            work_pool_name=self.work_pool,
            work_queue_name=self.work_queue or "default",
            entrypoint_type=EntrypointType.MODULE_PATH,
            tags=sorted(self.tags),
            schedule=self.schedule,
            description=self.description or self.flow.description,
            version=self.version or self.flow.version or _package_version(self.flow),
            job_variables=dict(self.job_variables),
            # A large value is sent as a reference, whatever its type; all others are checked before.
            enforce_parameter_schema=False,
        )
        deployment.entrypoint = self.entrypoint
        deployment.storage = _InPlace(".")
        return deployment


class _InPlace(LocalStorage):
    """Has jobs run in the working directory that their image has.

    Without it, Prefect first copies everything that is there: in many images that is the whole machine.
    """

    @override
    def to_pull_step(self) -> dict[str, Any]:
        return {"prefect.deployments.steps.set_working_directory": {"directory": "."}}


def attempts(idempotency_key: str | None) -> Iterator[str | None]:
    """Yield the keys to start a run with, one after the other while the run of the one before has failed."""
    if idempotency_key is None:
        yield None
    else:
        yield from (f"{idempotency_key}:{number}" for number in count())


def importable_name(flow: Flow[..., Any]) -> str:
    """Return `package.module.name`, under which any process finds a flow.

    Raises:
        NotAFlowError: It is not a name of an importable module.
    """
    module = getattr(flow.fn, "__module__", None) or "__main__"
    names = [name for name, value in vars(sys.modules.get(module, object)).items() if value is flow]
    if module != "__main__" and names:
        return f"{module}.{names[0]}"
    what = "is defined in the script that is running" if module == "__main__" else f"is no name of {module!r}"
    raise NotAFlowError(
        f"the flow {flow.name!r} {what}, so no other process can import it.",
        where=f"flow {flow.name!r}",
        remedy="Define it at the top of a module of an installed package, and pass it as it is imported from "
        "there; or run it on the local backend, LUME_BACKEND=local.",
    )


def importable_name_of(entrypoint: str) -> str:
    """Return the name of the flow itself, given the entry point of its deployment.

    Raises:
        NotAFlowError: No module has it: it is a flow-of-flows, which travels with its deployment.
    """
    name = entrypoint.removeprefix(_JOBS)
    if name.startswith(TRAVELLING):
        raise NotAFlowError(
            "this is a flow-of-flows: its spec is in its deployment, and no module has it.",
            where=f"deployment {name!r}",
            remedy="Run it by its name, or read its spec with FlowOfFlows.from_yaml.",
        )
    return name.replace("/", ".")


@functools.cache
def _package_version(flow: Flow[..., Any]) -> str:
    """Return the version of the distribution that has the package of a flow."""
    package = importable_name(flow).partition(".")[0]
    for distribution in packages_distributions().get(package, []):
        with suppress(PackageNotFoundError):
            return version(distribution)
    return "unversioned"


def _differences(wanted: RunnerDeployment, found: DeploymentResponse) -> list[str]:
    different = [name for name in _COMPARED if _plain(getattr(wanted, name)) != _plain(getattr(found, name))]
    schema = wanted._parameter_openapi_schema.model_dump(exclude_unset=True)  # noqa: SLF001 - has no other name
    if schema != found.parameter_openapi_schema:
        different.append("parameters")
    schedules = [_schedule(one.schedule) for one in wanted.schedules or []]
    if schedules != [_schedule(one.schedule) for one in found.schedules]:
        different.append("schedule")
    return different


def _schedules_of(
    found: DeploymentResponse,
) -> list[DeploymentScheduleCreate | DeploymentScheduleUpdate]:
    fields = DeploymentScheduleCreate.model_fields.keys()
    return [DeploymentScheduleCreate(**one.model_dump(include=set(fields))) for one in found.schedules]


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


def _schedule(schedule: Any) -> Any:
    """Return what makes two schedules the same; an interval counts from now where nothing else is said."""
    left_out = {"anchor_date"} if isinstance(schedule, IntervalSchedule) else set()
    return type(schedule).__name__, schedule.model_dump(exclude=left_out)
