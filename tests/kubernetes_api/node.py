"""The one node of the Kubernetes cluster of the tests: it runs the first container of a pod as a process.

There is no isolation and there are no volumes. An image is a name; what is in it is the environment of the
interpreter that runs this, and the variables that it is given. Containers are never started again.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import signal
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from kubernetes_api.store import Object, Store, now

PULL_FAILURES = {
    "Never": ("ErrImageNeverPull", 'Container image "{}" is not present with pull policy of Never'),
    "IfNotPresent": ("ImagePullBackOff", 'Back-off pulling image "{}"'),
    "Always": ("ImagePullBackOff", 'Back-off pulling image "{}"'),
}
CPUS = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(m?)")


class NotConfigured(Exception):
    """A variable of a container cannot be set."""


class Node:
    """Runs pods.

    Args:
        store: Where the pods are.
        folder: For the working directories and logs.
        images: The images that are there.
        cpus: How many a pod may request.
        environment: The variables that the images set.
    """

    def __init__(
        self, store: Store, folder: Path, images: Collection[str], cpus: float, environment: Mapping[str, str]
    ) -> None:
        self._store = store
        self._folder = folder
        self._images = images
        self._cpus = cpus
        self._environment = dict(environment)
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._deleted: dict[str, asyncio.Event] = {}

    async def run(self, pod: Object) -> bool:
        """Run a pod to its end; return whether it succeeded. One that cannot start waits for its deletion."""
        deleted = self._deleted.setdefault(pod["metadata"]["uid"], asyncio.Event())
        try:
            if self._schedule(pod) and self._pull(pod):
                await self._run_container(pod)
            else:
                await deleted.wait()
        finally:
            if deleted.is_set():
                self._store.remove("pods", pod)
        return pod["status"]["phase"] == "Succeeded"

    async def delete(self, pod: Object, grace_seconds: float | None) -> None:
        """Ask a container to end, kill it after a while, and then remove its pod."""
        metadata = pod["metadata"]
        if grace_seconds is None:
            grace_seconds = pod["spec"].get("terminationGracePeriodSeconds", 30)
        metadata.update(deletionTimestamp=now(), deletionGracePeriodSeconds=grace_seconds)
        self._store.save("pods", pod)
        self._deleted.setdefault(metadata["uid"], asyncio.Event()).set()
        process = self._processes.get(metadata["uid"])
        if process is None:
            self._store.remove("pods", pod)
            return
        if grace_seconds:
            _terminate(process)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), grace_seconds)
        _kill(pod)

    def kill_all(self) -> None:
        for pod in self._store.select("pods", None, "", ""):
            if self.runs(pod):
                _kill(pod)

    def log(self, pod: Object) -> Path | None:
        """Return the file of the log of a pod, None before its container has started."""
        path = self._folder / f"{pod['metadata']['uid']}.log"
        return path if path.exists() else None

    def runs(self, pod: Object) -> bool:
        return pod["metadata"]["uid"] in self._processes

    def _schedule(self, pod: Object) -> bool:
        requested = cpus_requested(pod["spec"]["containers"][0])
        fits = requested <= self._cpus
        pod["status"]["conditions"] = [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": now()}
        ]
        if not fits:
            message = "0/1 nodes are available: 1 Insufficient cpu."
            pod["status"]["conditions"][0].update(status="False", reason="Unschedulable", message=message)
            self._warn(pod, "FailedScheduling", message)
        self._store.save("pods", pod)
        return fits

    def _pull(self, pod: Object) -> bool:
        container = pod["spec"]["containers"][0]
        if container["image"] in self._images:
            return True
        reason, message = PULL_FAILURES[container.get("imagePullPolicy", "IfNotPresent")]
        self._wait(pod, reason, message.format(container["image"]))
        return False

    def _wait(self, pod: Object, reason: str, message: str) -> None:
        self._set_state(pod, "Pending", {"waiting": {"reason": reason, "message": message}})
        self._warn(pod, "Failed", f"Error: {reason}: {message}")

    async def _run_container(self, pod: Object) -> None:
        container, uid = pod["spec"]["containers"][0], pod["metadata"]["uid"]
        try:
            variables = self._variables(pod, container)
        except NotConfigured as error:
            self._wait(pod, "CreateContainerConfigError", str(error))
            await self._deleted[uid].wait()
            return
        place = self._folder / uid
        place.mkdir()
        started = now()
        with (self._folder / f"{uid}.log").open("wb") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *container.get("command", ()),
                    *container.get("args", ()),
                    env={"HOME": str(place), **variables},
                    cwd=container.get("workingDir", place),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                self._terminated(pod, 128, started, reason="StartError", message=str(error))
                return
        self._processes[uid] = process
        if self._deleted[uid].is_set():
            _terminate(process)
        self._set_state(pod, "Running", {"running": {"startedAt": started}})
        code = await process.wait()
        _kill(pod)  # what the first process of a container leaves behind ends with it
        del self._processes[uid]
        self._terminated(pod, code if code >= 0 else 128 - code, started)

    def _variables(self, pod: Object, container: Object) -> dict[str, str]:
        """Return the environment of a container as the kubelet puts it together."""
        variables = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            **self._environment,
            "HOSTNAME": pod["metadata"]["name"],
        }
        for source in container.get("envFrom", ()):
            kind = "secret" if "secretRef" in source else "configMap"
            values = self._values(pod, kind, source[f"{kind}Ref"])
            variables.update({f"{source.get('prefix', '')}{name}": text for name, text in values.items()})
        for variable in container.get("env", ()):
            if source := variable.get("valueFrom"):
                kind = "secret" if "secretKeyRef" in source else "configMap"
                reference = source[f"{kind}KeyRef"]
                values = self._values(pod, kind, reference)
                if reference["key"] in values:
                    variables[variable["name"]] = values[reference["key"]]
                elif not reference.get("optional"):
                    raise NotConfigured(f"couldn't find key {reference['key']} in {kind} {reference['name']}")
            else:
                variables[variable["name"]] = variable.get("value", "")
        return variables

    def _values(self, pod: Object, kind: str, reference: Object) -> dict[str, str]:
        resource = f"{kind.lower()}s"
        found = self._store.get(resource, pod["metadata"]["namespace"], reference["name"])
        if found is None:
            if reference.get("optional"):
                return {}
            raise NotConfigured(f'{kind.lower()} "{reference["name"]}" not found')
        data = found.get("data") or {}
        if kind == "secret":
            return {name: base64.b64decode(text).decode() for name, text in data.items()}
        return dict(data)

    def _terminated(self, pod: Object, code: int, started: str, **further: str) -> None:
        state = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": started,
            "finishedAt": now(),
            **further,
        }
        self._set_state(pod, "Failed" if code else "Succeeded", {"terminated": state})

    def _set_state(self, pod: Object, phase: str, state: Object) -> None:
        container, running = pod["spec"]["containers"][0], "running" in state
        status = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
        ready = {"type": "Ready", "status": str(running), "lastTransitionTime": now()}
        pod["status"].update(
            phase=phase,
            conditions=[*(one for one in pod["status"]["conditions"] if one["type"] != "Ready"), ready],
            containerStatuses=[{**status, "ready": running, "started": running, "state": state}],
        )
        self._store.save("pods", pod)

    def _warn(self, pod: Object, reason: str, message: str) -> None:
        metadata = pod["metadata"]
        event = {
            "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
            "involvedObject": {
                "kind": "Pod",
                **{name: metadata[name] for name in ("namespace", "name", "uid")},
            },
            "type": "Warning",
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
        }
        self._store.add("events", event)


def cpus_requested(container: Object) -> Decimal:
    """Return how many CPUs a container requests; its limit where it does not tell.

    Raises:
        ValueError: The quantity is none.
    """
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    quantity = str(requests.get("cpu", limits.get("cpu", "0")))
    match = CPUS.fullmatch(quantity)
    if match is None:
        raise ValueError(f"cpu: {quantity!r} is not a quantity")
    return Decimal(match[1]) / (1000 if match[2] else 1)


def _terminate(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()


def _kill(pod: Object) -> None:
    """Kill all processes of a pod, also those in sessions of their own, which no process group has."""
    mark = f"HOSTNAME={pod['metadata']['name']}".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)
