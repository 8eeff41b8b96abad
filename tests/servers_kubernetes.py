"""A Kubernetes API server for the tests: see `kubernetes_api`. It runs jobs as processes of this machine."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from servers import ServerUnavailable, free_port, unavailable

from lume_services.services.scheduling.run_configs.kubernetes_template import CONFIGURATION

TESTS = Path(__file__).parent
START_SECONDS = 30
REMEDY = "pip install 'lume-services[kubernetes]' kubernetes-validate"

# The image that is there. What is in it is this environment, and the modules of the tests.
IMAGE = "lume-services:test"
IMAGE_ENVIRONMENT = {"PYTHONPATH": str(TESTS), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
CPUS = 4


class Refused(Exception):
    """The API server answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Server:
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
        self.token = secrets.token_urlsafe()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
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

    def request(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Ask the server, as `request("GET", "/api/v1/namespaces/default/pods", labelSelector="a=b")`.

        Raises:
            Refused: It answers with an error.
        """
        parameters = "&".join(f"{name}={value}" for name, value in query.items())
        request = Request(
            f"{self.url}{path}?{parameters}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urlopen(request, timeout=30) as answer:
                text = answer.read()
                return json.loads(text) if answer.headers.get_content_subtype() == "json" else text.decode()
        except HTTPError as error:
            with error:
                raise Refused(error.code, json.load(error)["message"]) from None

    def kubeconfig(self, path: Path, namespace: str = "default") -> Path:
        """Write the file with which clients find the server."""
        user = {"name": "tester", "user": {"token": self.token}}
        context = {"cluster": "test", "user": "tester", "namespace": namespace}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [user],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(document))
        return path

    def configure_jobs(self, variables: Mapping[str, str]) -> None:
        """Make the config map that jobs have their settings from, as an operator does."""
        path = "/api/v1/namespaces/default/configmaps"
        with suppress(Refused):
            self.request("DELETE", f"{path}/{CONFIGURATION}")
        self.request("POST", path, {"metadata": {"name": CONFIGURATION}, "data": dict(variables)})

    def kill(self, run_id: str) -> None:
        """End the container of a flow run as `kill -9` does."""
        path = "/api/v1/namespaces/default/pods"
        found = self.request("GET", path, labelSelector=f"prefect.io/flow-run-id={run_id}")
        (pod,) = (one for one in found["items"] if one["status"]["phase"] == "Running")
        self.request("DELETE", f"{path}/{pod['metadata']['name']}", {"gracePeriodSeconds": 0})

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
