"""Run configs: where and how one run is started. One class for each backend."""

from lume_services.services.scheduling.run_configs.base import PrefectRunConfig, RunConfig
from lume_services.services.scheduling.run_configs.docker import DockerRunConfig
from lume_services.services.scheduling.run_configs.kubernetes import KubernetesRunConfig
from lume_services.services.scheduling.run_configs.local import LocalRunConfig
from lume_services.services.scheduling.run_configs.process import ProcessRunConfig

__all__ = [  # noqa: RUF022
    "RunConfig",
    "LocalRunConfig",
    "ProcessRunConfig",
    "DockerRunConfig",
    "KubernetesRunConfig",
    "PrefectRunConfig",
]
