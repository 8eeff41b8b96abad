"""A Kubernetes API server for the tests: see `kubernetes_api`. It runs jobs as processes of this machine."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError

from kubernetes_client import KubernetesAPI
from servers import ServerUnavailable, free_port, unavailable

TESTS = Path(__file__).parent
START_SECONDS = 30
REMEDY = "pip install 'lume-services[kubernetes]' kubernetes-validate"

# The image that is there. What is in it is this environment, and the modules of the tests.
IMAGE = "lume-services:test"
IMAGE_ENVIRONMENT = {"PYTHONPATH": str(TESTS), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
CPUS = 4


class Server(KubernetesAPI):
    """A running server.

    Raises:
        ServerUnavailable: It does not start.
    """

    def __init__(
        self,
        *,
        images: Sequence[str] = (IMAGE,),
        environment: Mapping[str, str] = IMAGE_ENVIRONMENT,
        cpus: float = CPUS,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kubernetes-server-"))
        port = free_port()
        super().__init__(f"http://127.0.0.1:{port}", secrets.token_urlsafe())
        command = [
            *(sys.executable, "-m", "kubernetes_api", "--port", str(port), "--cpus", str(cpus)),
            *(f"--image={image}" for image in images),
            *(f"--env={name}={value}" for name, value in environment.items()),
        ]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": str(TESTS), "KUBERNETES_API_TOKEN": self.token},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kill(self, run_id: str) -> None:
        """End the container of a flow run as `kill -9` does."""
        name = self.running_pod(run_id)["metadata"]["name"]
        self.request("DELETE", f"/api/v1/namespaces/default/pods/{name}", {"gracePeriodSeconds": 0})

    def stop(self) -> None:
        """Stop the server, and with it the containers of its pods."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.request("GET", "/version")
                return
            except URLError:
                time.sleep(0.05)
        last = (self.folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
        raise ServerUnavailable(f"the Kubernetes API server does not start here ({' '.join(last)})")


def own_server(**options: Any) -> Server:
    """Return a server of one test, or skip it."""
    needed = ("aiohttp", "kubernetes_validate", "prefect_kubernetes")
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        unavailable(f"not installed: {', '.join(missing)}", REMEDY)
    try:
        return Server(**options)
    except ServerUnavailable as error:
        unavailable(str(error), REMEDY)


@functools.cache
def session_server() -> Server:
    """Return the server of this session, started on first use, or skip the test."""
    server = own_server()
    atexit.register(server.stop)
    return server
