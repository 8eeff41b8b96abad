"""The run config of the process backend."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field
from typing_extensions import override

from lume_services.services.scheduling.run_configs.server import ServerRunConfig


class ProcessRunConfig(ServerRunConfig):
    """A run in a process of its own on the machine of a worker."""

    work_pool_type: ClassVar[str] = "process"

    working_dir: Annotated[str, Field(pattern="^/")] | None = Field(
        default=None, description="Folder on the worker's machine to run in; an empty one if left out."
    )
    stream_output: bool | None = Field(
        default=None, description="Whether the worker prints what the job prints."
    )

    @override
    def _job_variables(self) -> dict[str, Any]:
        return {"working_dir": self.working_dir, "stream_output": self.stream_output}
