"""The run config of the Docker backend."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from lume_services.services.scheduling.run_configs.server import ServerRunConfig

_SHARED_NETWORKS = ("host", "none", "bridge")


class DockerRunConfig(ServerRunConfig):
    """A run in a container of its own on the machine of a worker.

    The image has the package of the flow, LUME-services and Prefect installed.
    """

    work_pool_type: ClassVar[str] = "docker"

    image: str | None = Field(
        default=None, min_length=1, description="Image of the container, as `name:tag`."
    )
    image_pull_policy: Literal["IfNotPresent", "Always", "IfPossible", "Never"] | None = Field(
        default=None, description="Whether to pull the image."
    )
    network: str | None = Field(
        default=None,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$",
        description="`host`, `none`, `bridge`, or the name of a Docker network to connect to.",
    )
    volumes: list[str] = Field(
        default_factory=list, description="Volumes to mount, as `/on/host:/in/container[:ro]`."
    )
    ports: list[int | str] = Field(
        default_factory=list, description="Ports of the container to publish on free ports of the host."
    )
    mem_limit: str | None = Field(
        default=None, description="Memory limit, as `2g`; the run crashes where it takes more."
    )
    auto_remove: bool | None = Field(default=None, description="Remove the container when the run has ended.")
    host_config: dict[str, Any] = Field(
        default_factory=dict,
        description="Further arguments of docker-py's `containers.create`, as `{'shm_size': '1g'}`.",
    )

    @override
    def _job_variables(self) -> dict[str, Any]:
        further = {**self.host_config}
        if self.ports:
            further |= {"ports": {str(port): None for port in self.ports}}
        shared = self.network in _SHARED_NETWORKS
        return {
            "image": self.image,
            "image_pull_policy": self.image_pull_policy,
            "network_mode": self.network if shared else None,
            "networks": [self.network] if self.network and not shared else None,
            "volumes": self.volumes or None,
            "mem_limit": self.mem_limit,
            "auto_remove": self.auto_remove,
            "container_create_kwargs": further or None,
        }
