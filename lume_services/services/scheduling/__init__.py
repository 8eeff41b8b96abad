"""The scheduling service, its backends and their run configs."""

from lume_services.services.scheduling.base import DEFAULT_PROJECT, Backend, LogEntry, RunHandle
from lume_services.services.scheduling.run_configs import (
    DockerRunConfig,
    KubernetesRunConfig,
    LocalRunConfig,
    PrefectRunConfig,
    ProcessRunConfig,
    RunConfig,
)
from lume_services.services.scheduling.service import SchedulingService

__all__ = [  # noqa: RUF022
    "SchedulingService",
    "Backend",
    "RunHandle",
    "LogEntry",
    "RunConfig",
    "LocalRunConfig",
    "ProcessRunConfig",
    "DockerRunConfig",
    "KubernetesRunConfig",
    "PrefectRunConfig",
    "DEFAULT_PROJECT",
]
