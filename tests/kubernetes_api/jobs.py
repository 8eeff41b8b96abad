"""The job controller and the garbage collector of the Kubernetes cluster of the tests."""

from __future__ import annotations

import asyncio
import copy

from kubernetes_api.node import Node
from kubernetes_api.store import Object, Store, now

RETRY_SECONDS = 1


class Jobs:
    """Makes the pods of jobs, and removes what belongs to objects that are deleted."""

    def __init__(self, store: Store, node: Node) -> None:
        self._store = store
        self._node = node
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, job: Object) -> None:
        """Run a job in the background."""
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def delete(
        self, resource: str, item: Object, *, grace_seconds: float | None = None, orphan: bool = False
    ) -> None:
        """Delete an object and its dependents; pods end in the background."""
        if resource == "pods":
            task = asyncio.create_task(self._node.delete(item, grace_seconds))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._store.remove(resource, item)
        if not orphan:
            for kind, dependent in self._store.dependents(item):
                self.delete(kind, dependent, grace_seconds=grace_seconds)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._node.kill_all()

    async def _run(self, job: Object) -> None:
        job["status"] = {"startTime": now(), "active": 1}
        self._store.save("jobs", job)
        failed = 0
        while not await self._run_pod(job):
            if not self._store.holds("jobs", job):
                return
            failed += 1
            job["status"]["failed"] = failed
            if failed > job["spec"].get("backoffLimit", 6):
                reached = {
                    "reason": "BackoffLimitExceeded",
                    "message": "Job has reached the specified backoff limit",
                }
                self._finish(job, {"type": "Failed", **reached})
                break
            self._store.save("jobs", job)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            job["status"].update(succeeded=1, completionTime=now())
            self._finish(job, {"type": "Complete"})
        seconds = job["spec"].get("ttlSecondsAfterFinished")
        if seconds is not None:
            await asyncio.sleep(seconds)
            self.delete("jobs", job)

    def _finish(self, job: Object, condition: Object) -> None:
        del job["status"]["active"]
        job["status"]["conditions"] = [{**condition, "status": "True", "lastTransitionTime": now()}]
        if self._store.holds("jobs", job):
            self._store.save("jobs", job)

    async def _run_pod(self, job: Object) -> bool:
        template, metadata = copy.deepcopy(job["spec"]["template"]), job["metadata"]
        further = template.get("metadata") or {}
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
        pod: Object = {
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "namespace": metadata["namespace"],
                "labels": {
                    **(further.get("labels") or {}),
                    "job-name": metadata["name"],
                    "batch.kubernetes.io/job-name": metadata["name"],
                    "controller-uid": metadata["uid"],
                },
                "annotations": further.get("annotations") or {},
                "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending", "startTime": now()},
        }
        self._store.add("pods", pod)
        return await self._node.run(pod)
