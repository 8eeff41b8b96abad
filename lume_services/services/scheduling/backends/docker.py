"""The Docker backend: each run is a container of its own on the machine of a worker."""

from __future__ import annotations

from typing import Any, ClassVar

from prefect.client.schemas.objects import FlowRun
from prefect.utilities.dockerutils import get_prefect_image_name
from prefect.workers.base import BaseJobConfiguration
from typing_extensions import override

from lume_services.errors import ImageMissingError, LUMEServicesError, Problem, choose_from
from lume_services.services.scheduling.backends.server import ServerBackend
from lume_services.services.scheduling.run_configs import DockerRunConfig, RunConfig

# What the messages of Docker and of Prefect's worker have in common where an image cannot be had.
_NO_IMAGE = ("No such image", "/images/create", "Docker pull failed", "could neither be pulled")


class DockerBackend(ServerBackend):
    """Runs flows in containers that a worker starts."""

    work_pool_type: ClassVar[str] = "docker"
    run_config_type: ClassVar[type[RunConfig]] = DockerRunConfig

    @override
    def _flow_variables(self, entrypoint: str) -> dict[str, Any]:
        # Prefect's own command, which runs in the container, is what takes notice of a cancellation.
        return {}

    @override
    def _job_problems(self, job: BaseJobConfiguration) -> list[Problem]:
        return [*_image_problems(job), *_host_config_problems(job)]

    @override
    def _diagnosis(self, run: FlowRun) -> LUMEServicesError | None:
        said = (run.state.message if run.state else None) or ""
        if not any(text in said for text in _NO_IMAGE):
            return None
        image = self._variables_of(run).get("image")
        return ImageMissingError(
            f"the worker cannot get the image {image!r}: {said}",
            where=f"run {run.id}",
            remedy="Build or load it on the machine of the worker, or put it where that can pull it from, "
            "and check its name in LUME_RUN_CONFIG__IMAGE or in the run config.",
            run_id=str(run.id),
            image=image,
        )


def _image_problems(job: Any) -> list[Problem]:
    if job.image != get_prefect_image_name():
        return []
    return [
        Problem(
            "no image is given, and Prefect's own has neither LUME-services nor the flow.",
            "image",
            "Set LUME_RUN_CONFIG__IMAGE, or `image` in the run config.",
        )
    ]


def _host_config_problems(job: Any) -> list[Problem]:
    """Return what docker-py would refuse, and what Prefect's worker would leave out in silence."""
    from docker.constants import DEFAULT_DOCKER_API_VERSION
    from docker.errors import DockerException
    from docker.models.containers import RUN_CREATE_KWARGS, RUN_HOST_CONFIG_KWARGS
    from docker.types import HostConfig

    given = job.container_create_kwargs or {}
    left_out = {*type(job).model_fields, "environment"}
    known = {*RUN_CREATE_KWARGS, *RUN_HOST_CONFIG_KWARGS, "ports", "networking_config"} - left_out
    problems = [
        Problem("the container cannot be given this.", f"host_config.{name}", choose_from(name, known))
        for name in given
        if name not in known
    ]
    of_host = {name: given[name] for name in known.intersection(given, RUN_HOST_CONFIG_KWARGS)}
    try:
        HostConfig(
            version=DEFAULT_DOCKER_API_VERSION,
            network_mode=job.get_network_mode(),
            port_bindings=given.get("ports"),
            mem_limit=job.mem_limit,
            binds=job.volumes,
            **of_host,
        )
    except (DockerException, TypeError, ValueError) as error:
        problems.append(Problem(f"{error}.", "host_config, ports, network or mem_limit"))
    return problems
