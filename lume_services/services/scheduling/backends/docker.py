"""The Docker backend: each run is a container of its own on the machine of a worker."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from lume_services.services.scheduling.backends.server import ServerBackend
from lume_services.services.scheduling.run_configs import DockerRunConfig, RunConfig


class DockerBackend(ServerBackend):
    """Runs flows in containers that a worker starts."""

    work_pool_type: ClassVar[str] = "docker"
    run_config_type: ClassVar[type[RunConfig]] = DockerRunConfig

    @override
    def _flow_variables(self, entrypoint: str) -> dict[str, Any]:
        # Prefect's own command, which runs in the container, is what takes notice of a cancellation.
        return {}
