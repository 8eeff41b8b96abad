"""The run config of the local backend."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, DirectoryPath, Field

from lume_services.services.scheduling.run_configs.base import PrefectRunConfig, RunConfig


class LocalRunConfig(RunConfig):
    """A run in this process.

    `env` and `working_dir` belong to the whole process. They are set for the time of the run and put
    back after it, and runs that set them wait for each other; a run without them that is in progress
    at the same time sees them too. `PREFECT_*` variables are no use here: Prefect reads its settings
    once, when it is imported.
    """

    env: dict[str, str] = Field(default_factory=dict, description="Environment variables of the run.")
    working_dir: Annotated[DirectoryPath, AfterValidator(Path.resolve)] | None = Field(
        default=None, description="An existing directory to run in; the current one if left out."
    )

    def build(self) -> PrefectRunConfig:
        """Return the tags of the run and, as job variables, `env` and `working_dir` where given."""
        variables: dict[str, Any] = {"env": dict(self.env)} if self.env else {}
        if self.working_dir is not None:
            variables["working_dir"] = str(self.working_dir)
        return PrefectRunConfig(job_variables=variables, tags=self.labels)
