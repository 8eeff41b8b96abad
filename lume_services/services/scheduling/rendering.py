"""A run's job, rendered as its worker will do it, before anything is sent."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast
from uuid import uuid4

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import Flow as APIFlow
from prefect.client.schemas.objects import FlowRun
from prefect.states import Scheduled
from prefect.utilities.schema_tools import ValidationError as SchemaError
from prefect.utilities.schema_tools import validate
from prefect.workers.base import BaseJobConfiguration, BaseWorker
from pydantic import ValidationError

from lume_services.errors import PluginError, Problem, RunConfigError, choose_from
from lume_services.services.scheduling.event_loop import run_coroutine

_WHAT = "the run config does not fit the work pool"


def worker_class(work_pool_type: str) -> type[BaseWorker[Any, Any, Any]]:
    """Return Prefect's worker of a type of work pool.

    Raises:
        PluginError: The package that has it is not installed.
    """
    from prefect.plugins import load_prefect_collections

    load_prefect_collections()
    found = BaseWorker.get_worker_class_from_type(work_pool_type)
    if found is None:
        raise PluginError(
            f"Prefect knows no worker of type {work_pool_type!r}.",
            where="LUME_BACKEND",
            remedy=f"pip install 'lume-services[{work_pool_type}]'",
        )
    return found


def render(
    template: Mapping[str, Any], variables: Mapping[str, Any], *, work_pool_type: str, pool: str
) -> BaseJobConfiguration:
    """Return the job that a worker would start, by Prefect's own rules, without asking the API.

    Args:
        template: The base job template of the work pool, as it is there now.
        variables: The job variables.
        work_pool_type: The type of the pool.
        pool: The name of the pool, for errors.

    Raises:
        RunConfigError: A variable is unknown to the template, which would drop it in silence, or its value
            does not fit; all of them at once.
        PluginError: The package for this type is not installed.
    """
    where = f"work pool {pool!r}"
    properties = dict(template["variables"].get("properties", {}))
    problems = [
        Problem(
            "the job template of the work pool has no such variable.", name, choose_from(name, properties)
        )
        for name in variables
        if name not in properties
    ]
    problems += _schema_problems(template["variables"], properties, variables)
    if problems:
        raise RunConfigError(f"{_WHAT} {pool!r}", problems)
    configuration = worker_class(work_pool_type).job_configuration
    flow = APIFlow(id=uuid4(), name="flow", labels={})
    run = FlowRun(id=uuid4(), flow_id=flow.id, name="run", state=Scheduled())
    try:
        job: BaseJobConfiguration = run_coroutine(
            configuration.from_template_and_values(
                copy.deepcopy(dict(template)), copy.deepcopy(dict(variables)), client=_no_client()
            )
        )
        job.prepare_for_flow_run(run, flow=flow)
    except ValidationError as error:
        found = [Problem(item["msg"], ".".join(map(str, item["loc"])) or where) for item in error.errors()]
        raise RunConfigError(f"{_WHAT} {pool!r}", found) from error
    except ValueError as error:
        raise RunConfigError(f"{_WHAT} {pool!r}", [Problem(str(error), where)]) from error
    return job


def _schema_problems(
    schema: dict[str, Any], properties: Mapping[str, Any], variables: Mapping[str, Any]
) -> list[Problem]:
    """Return what the server finds wrong with the variables, one of them at a time so that all are named."""
    defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
    problems = []
    for name in [name for name in variables if name in properties]:
        try:
            validate(
                defaults | {name: variables[name]},
                {**schema, "required": []},
                raise_on_error=True,
                preprocess=True,
                ignore_required=True,
                allow_none_with_default=True,
            )
        except SchemaError as error:
            problems.append(Problem(str(error), name))
    return problems


class _NoClient:
    """Stands for the API where a template must not need it."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError(
            f"the job template refers to a block or a variable of the Prefect server ({name}), so the job "
            "cannot be checked here; write the value itself into the run config"
        )


def _no_client() -> PrefectClient:
    return cast("PrefectClient", _NoClient())
