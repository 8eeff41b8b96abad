"""The run config of the Kubernetes backend."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import yaml
from pydantic import Field, FilePath, model_validator
from typing_extensions import override

from lume_services.errors import Problem, RunConfigError, UnreadableFileError
from lume_services.services.scheduling.run_configs.kubernetes_template import configured_from, variables_of
from lume_services.services.scheduling.run_configs.quantity import Quantity, amount
from lume_services.services.scheduling.run_configs.server import ServerRunConfig
from lume_services.values.regular import read_text


class KubernetesRunConfig(ServerRunConfig):
    """A run in a job of its own on a Kubernetes cluster.

    The image has the package of the flow, LUME-services and Prefect installed. The job is configured by the
    config map and the secret `lume-services` of its namespace, where they are there.
    """

    work_pool_type: ClassVar[str] = "kubernetes"

    image: str | None = Field(
        default=None, min_length=1, description="Image of the container, as `name:tag`."
    )
    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] | None = Field(
        default=None, description="Whether to pull the image."
    )
    image_pull_secrets: list[str] = Field(
        default_factory=list, description="Names of the secrets to pull the image with."
    )
    namespace: str | None = Field(default=None, min_length=1, description="Namespace of the job.")
    service_account_name: str | None = Field(default=None, description="Service account of the pod.")
    cpu_request: Quantity | None = Field(default=None, description="CPUs that the node must have free.")
    cpu_limit: Quantity | None = Field(default=None, description="CPUs that the job gets at most.")
    memory_request: Quantity | None = Field(default=None, description="Memory that the node must have free.")
    memory_limit: Quantity | None = Field(
        default=None, description="Memory limit; the run crashes where it takes more."
    )
    gpu_limit: int | None = Field(default=None, ge=0, description="Number of NVIDIA GPUs.")
    node_selector: dict[str, str] = Field(default_factory=dict, description="Labels that the node must have.")
    tolerations: list[dict[str, Any]] = Field(default_factory=list, description="Taints that are tolerated.")
    volumes: list[dict[str, Any]] = Field(default_factory=list, description="Volumes of the pod.")
    volume_mounts: list[dict[str, Any]] = Field(default_factory=list, description="Where they are mounted.")
    secrets: list[str] = Field(
        default_factory=list, description="Names of further secrets whose entries become variables."
    )
    finished_job_ttl: int | None = Field(
        default=None, ge=0, description="Seconds until a finished job is removed; never if left out."
    )
    job_template: dict[str, Any] | None = Field(
        default=None, description="Manifest of a Job to start from; the other fields are stronger."
    )
    job_template_path: FilePath | None = Field(
        default=None, description="YAML or JSON file with such a manifest, instead of `job_template`."
    )

    @model_validator(mode="after")
    def _requests_fit_limits(self) -> Self:
        for kind in ("cpu", "memory"):
            request, limit = getattr(self, f"{kind}_request"), getattr(self, f"{kind}_limit")
            if request and limit and amount(request) > amount(limit):
                raise ValueError(f"{kind}_request {request} is more than {kind}_limit {limit}")
        if self.job_template is not None and self.job_template_path is not None:
            raise ValueError("job_template and job_template_path are both given; give one of them")
        return self

    @override
    def _job_variables(self) -> dict[str, Any]:
        """Return the variables of our job template.

        Raises:
            RunConfigError: The job template has fields that no variable says.
        """
        own = {
            name: getattr(self, name) or None
            for name in type(self).model_fields
            if name not in ServerRunConfig.model_fields
            and name not in {"secrets", "job_template", "job_template_path", "image_pull_secrets"}
        }
        own["image_pull_secrets"] = [{"name": name} for name in self.image_pull_secrets] or None
        own |= {name: getattr(self, name) for name in ("gpu_limit", "finished_job_ttl")}
        own["env_from"] = self._env_from() if self.secrets else None
        given = {name: value for name, value in own.items() if value is not None}
        started_from, problems = variables_of(self._template())
        if problems:
            raise RunConfigError("the job template cannot be used", problems)
        environment = started_from.pop("env", {}) | self.env
        return {**started_from, **given, **({"env": environment} if environment else {})}

    def _env_from(self) -> list[dict[str, Any]]:
        return [*configured_from(), *({"secretRef": {"name": name}} for name in self.secrets)]

    def _template(self) -> dict[str, Any]:
        if self.job_template_path is None:
            return self.job_template or {}
        path = self.job_template_path
        try:
            # Kubernetes reads YAML 1.1: `defaultMode: 0644` is 420 there.
            found = yaml.safe_load(read_text(path, what="job template"))
        except (UnreadableFileError, yaml.YAMLError, ValueError, RecursionError) as error:
            problem = Problem(f"the job template cannot be read: {error}", str(path))
            raise RunConfigError("the job template cannot be used", [problem]) from error
        return found if isinstance(found, dict) else {}
