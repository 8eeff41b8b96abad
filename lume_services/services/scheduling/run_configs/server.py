"""What the run configs of all backends with workers have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from pydantic import Field
from typing_extensions import override

from lume_services.services.scheduling.run_configs.base import PrefectRunConfig, RunConfig


class ServerRunConfig(RunConfig):
    """A run in a job that a worker starts.

    What is left out is as the work pool has it.
    """

    work_pool_type: ClassVar[str]

    env: dict[str, str] = Field(default_factory=dict, description="Environment variables of the job.")
    work_queue: str | None = Field(
        default=None, description="Queue of the work pool; its default one if left out."
    )

    @override
    def build(self) -> PrefectRunConfig:
        """Return the work pool type and, as job variables, what was set."""
        variables = {"env": dict(self.env)} if self.env else {}
        set_ones = {name: value for name, value in self._job_variables().items() if value is not None}
        return PrefectRunConfig(self.work_pool_type, self.work_queue, variables | set_ones, self.labels)

    @abstractmethod
    def _job_variables(self) -> dict[str, Any]:
        """Return the variables of the pool's job template, None for those that are not set."""
