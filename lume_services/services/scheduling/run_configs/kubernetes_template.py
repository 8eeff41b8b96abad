"""The job template of work pools on Kubernetes, and a user's own Job taken apart for it.

Prefect's default template knows resources and little else. Ours adds what a simulation needs: secrets and
config maps, volumes, nodes, pull secrets, GPUs. A Job that a user wrote becomes values of its variables; a
field that has none would be dropped in silence, so it is an error.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from lume_services.errors import Problem

CONFIGURATION = "lume-services"
"""The name of the config map and of the secret that configure jobs, where they are there."""

_POD = "spec.template.spec"
_CONTAINER = f"{_POD}.containers.0"
_VARIABLES = {
    "metadata.namespace": "namespace",
    "metadata.labels": "labels",
    "metadata.annotations": "annotations",
    "spec.backoffLimit": "backoff_limit",
    "spec.ttlSecondsAfterFinished": "finished_job_ttl",
    "spec.activeDeadlineSeconds": "active_deadline_seconds",
    f"{_POD}.serviceAccountName": "service_account_name",
    f"{_POD}.imagePullSecrets": "image_pull_secrets",
    f"{_POD}.hostNetwork": "host_network",
    f"{_POD}.nodeSelector": "node_selector",
    f"{_POD}.tolerations": "tolerations",
    f"{_POD}.affinity": "affinity",
    f"{_POD}.securityContext": "pod_security_context",
    f"{_POD}.volumes": "volumes",
    f"{_CONTAINER}.image": "image",
    f"{_CONTAINER}.imagePullPolicy": "image_pull_policy",
    f"{_CONTAINER}.envFrom": "env_from",
    f"{_CONTAINER}.volumeMounts": "volume_mounts",
    f"{_CONTAINER}.securityContext": "security_context",
    f"{_CONTAINER}.resources.requests.cpu": "cpu_request",
    f"{_CONTAINER}.resources.requests.memory": "memory_request",
    f"{_CONTAINER}.resources.limits.cpu": "cpu_limit",
    f"{_CONTAINER}.resources.limits.memory": "memory_limit",
    f"{_CONTAINER}.resources.limits.nvidia.com/gpu": "gpu_limit",
}
"""The variable of the template by the path in a Job."""

_IMPLIED: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "spec.completions": 1,
    "spec.parallelism": 1,
    f"{_POD}.restartPolicy": "Never",
}
_OF_NO_EFFECT = ("metadata.name", "metadata.generateName", f"{_CONTAINER}.name")


def job_template() -> dict[str, Any]:
    """Return the base job template of a new work pool."""
    from prefect_kubernetes.worker import KubernetesWorker

    template: dict[str, Any] = copy.deepcopy(KubernetesWorker.get_default_base_job_template())
    template["variables"]["properties"].update(_new_variables())
    manifest = template["job_configuration"]["job_manifest"]
    for path, variable in _VARIABLES.items():
        _put(manifest, path, f"{{{{ {variable} }}}}")
    return template


def variables_of(job: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Return the values of the template's variables that make it this Job, and what no variable says.

    Args:
        job: The manifest of a Job of one container.
    """
    values: dict[str, Any] = {}
    problems = []
    for path, value in _leaves(job):
        if path in _VARIABLES:
            values[_VARIABLES[path]] = value
        elif path == f"{_CONTAINER}.env":
            problems += _environment(value, values)
        elif path not in _OF_NO_EFFECT and _IMPLIED.get(path) != value:
            known = "its value is always " + repr(_IMPLIED[path]) if path in _IMPLIED else "it has no place"
            remedy = "Take it out, or write it into the base job template of the work pool."
            problems.append(Problem(f"{known} in the job template of the work pool.", path, remedy))
    return values, problems


def configured_from() -> list[dict[str, Any]]:
    """Return from where a job has its settings: by reference, so that nobody sees the secrets."""
    return [{kind: {"name": CONFIGURATION, "optional": True}} for kind in ("configMapRef", "secretRef")]


def _new_variables() -> dict[str, Any]:
    objects = ("node_selector", "affinity", "pod_security_context", "security_context")
    lists = ("image_pull_secrets", "volumes", "volume_mounts", "tolerations", "env_from")
    properties: dict[str, Any] = {name: {"type": "object", "title": name} for name in objects}
    properties |= {name: {"type": "array", "title": name, "items": {"type": "object"}} for name in lists}
    properties["env_from"]["default"] = configured_from()
    properties["host_network"] = {"type": "boolean", "title": "host_network"}
    properties["active_deadline_seconds"] = {"type": "integer", "title": "active_deadline_seconds"}
    properties["gpu_limit"] = {"type": "integer", "title": "gpu_limit"}
    return properties


def _leaves(job: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and value of all that a variable can stand for, and of everything beside."""
    known = (*_VARIABLES, *_IMPLIED, *_OF_NO_EFFECT, f"{_CONTAINER}.env")
    inner = isinstance(job, Mapping) or (isinstance(job, list) and path == f"{_POD}.containers")
    if path in known or not inner or not any(name.startswith(path) for name in known):
        yield path, job
        return
    items = job.items() if isinstance(job, Mapping) else enumerate(job)
    for key, value in items:
        yield from _leaves(value, f"{path}.{key}" if path else str(key))


def _environment(entries: Any, values: dict[str, Any]) -> list[Problem]:
    problems = []
    for entry in entries if isinstance(entries, list) else []:
        if "value" in entry:
            values.setdefault("env", {})[entry["name"]] = str(entry["value"])
        else:
            remedy = "Put the secret or config map into envFrom."
            problems.append(Problem("only plain values are taken.", f"{_CONTAINER}.env", remedy))
    return problems


def _put(manifest: dict[str, Any], path: str, value: Any) -> None:
    """Set what lies at a path; `nvidia.com/gpu` is one key."""
    *parents, last = path.replace("nvidia.com/gpu", "nvidia/com/gpu").split(".")
    place: Any = manifest
    for key in parents:
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place[last.replace("nvidia/com/gpu", "nvidia.com/gpu")] = value
