"""The Kubernetes backend: each run is a job of its own on a cluster."""

from __future__ import annotations

from typing import Any, ClassVar

from prefect.client.schemas.objects import FlowRun
from typing_extensions import override

from lume_services.errors import LUMEServicesError
from lume_services.services.scheduling.backends.kubernetes_pods import pending_reason
from lume_services.services.scheduling.backends.server import ServerBackend
from lume_services.services.scheduling.run_configs import KubernetesRunConfig, RunConfig
from lume_services.services.scheduling.run_configs.kubernetes_template import job_template


class KubernetesBackend(ServerBackend):
    """Runs flows in jobs that a worker makes on a cluster."""

    work_pool_type: ClassVar[str] = "kubernetes"
    run_config_type: ClassVar[type[RunConfig]] = KubernetesRunConfig

    @override
    def _flow_variables(self, entrypoint: str) -> dict[str, Any]:
        # Prefect's own command, which runs in the pod, is what takes notice of a cancellation.
        return {}

    @override
    def _job_template(self) -> dict[str, Any]:
        return job_template()

    @override
    def _diagnosis(self, run: FlowRun) -> LUMEServicesError | None:
        if run.state is None or not run.state.is_pending():
            return None
        return pending_reason(run, self._variables_of(run).get("namespace", "default"))
