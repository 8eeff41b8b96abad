"""Why the pod of a run does not start, as its cluster tells; Prefect leaves such a run pending for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from kubernetes_asyncio import client as kubernetes
from kubernetes_asyncio import config
from kubernetes_asyncio.client.exceptions import ApiException
from prefect.client.schemas.objects import FlowRun

from lume_services.errors import ImageMissingError, LUMEServicesError, RunNotStartedError, UnschedulableError
from lume_services.services.scheduling.event_loop import run_coroutine

_NO_IMAGE = {"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ImageInspectError"}


def pending_reason(run: FlowRun, namespace: str) -> LUMEServicesError | None:
    """Return the error that tells why the pods of a run wait; None where the cluster cannot be asked.

    Args:
        run: The run.
        namespace: Of its job.
    """
    try:
        pods = run_coroutine(_pods(str(run.id), namespace))
    except (ApiException, config.ConfigException, OSError):
        return None
    where = f"run {run.id}"
    for pod in pods:
        for found in (*_conditions(pod, where, str(run.id)), *_waiting(pod, where, str(run.id))):
            return found
    return None


async def _pods(run_id: str, namespace: str) -> list[Any]:
    await config.load_config(config_file=os.environ.get("KUBECONFIG"))  # which it reads when imported
    async with kubernetes.ApiClient() as api:
        core = kubernetes.CoreV1Api(api)
        selector = f"prefect.io/flow-run-id={run_id}"
        found: list[Any] = (await core.list_namespaced_pod(namespace, label_selector=selector)).items
        return found


def _conditions(pod: Any, where: str, run_id: str) -> Iterator[LUMEServicesError]:
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            yield UnschedulableError(
                f"no node has a place for its pod: {condition.message}",
                where=f"{where}, pod {pod.metadata.namespace}/{pod.metadata.name}",
                remedy="Ask for less (cpu_request, memory_request, gpu_limit, node_selector), or add a node.",
                run_id=run_id,
            )


def _waiting(pod: Any, where: str, run_id: str) -> Iterator[LUMEServicesError]:
    for status in pod.status.container_statuses or []:
        waiting = status.state.waiting if status.state else None
        if waiting is None or not waiting.reason:
            continue
        place = f"{where}, pod {pod.metadata.namespace}/{pod.metadata.name}"
        if waiting.reason in _NO_IMAGE:
            yield ImageMissingError(
                f"the image {status.image!r} cannot be had ({waiting.reason}): {waiting.message or ''}",
                where=place,
                remedy="Check the name, image_pull_policy, image_pull_secrets, and that the nodes reach it.",
                run_id=run_id,
            )
        else:
            what = f"its container waits: {waiting.reason} {waiting.message or ''}"
            yield RunNotStartedError(what.strip(), where=place, run_id=run_id)
