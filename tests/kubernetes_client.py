"""A client of a Kubernetes API server, whatever it is: the one of the tests, or a real cluster."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from lume_services.services.scheduling.run_configs.kubernetes_template import CONFIGURATION


class Refused(Exception):
    """The API server answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class KubernetesAPI:
    """What the tests ask of an API server.

    Args:
        url: Where it answers.
        token: Of the user.
        namespace: Where jobs run.
        certificate: File with the certificate of the server, where the URL begins with https.
    """

    def __init__(
        self, url: str, token: str, *, namespace: str = "default", certificate: Path | None = None
    ) -> None:
        self.url = url
        self.token = token
        self.namespace = namespace
        self.certificate = certificate

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
        trusted = ssl.create_default_context(cafile=self.certificate) if self.certificate else None
        try:
            with urlopen(request, timeout=30, context=trusted) as answer:
                text = answer.read()
                return json.loads(text) if answer.headers.get_content_subtype() == "json" else text.decode()
        except HTTPError as error:
            with error:
                raise Refused(error.code, json.load(error)["message"]) from None

    def kubeconfig(self, path: Path) -> Path:
        """Write the file with which clients find the server."""
        trust = {"certificate-authority": str(self.certificate)} if self.certificate else {}
        context = {"cluster": "test", "user": "tester", "namespace": self.namespace}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.url, **trust}}],
            "users": [{"name": "tester", "user": {"token": self.token}}],
            "contexts": [{"name": "test", "context": context}],
            "current-context": "test",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(document))
        return path

    def configure_jobs(self, variables: Mapping[str, str]) -> None:
        """Make the config map that jobs have their settings from, as an operator does."""
        path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        with suppress(Refused):
            self.request("DELETE", f"{path}/{CONFIGURATION}")
        self.request("POST", path, {"metadata": {"name": CONFIGURATION}, "data": dict(variables)})

    def running_pod(self, run_id: str) -> dict[str, Any]:
        """Return the pod in which a flow run is running."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        found = self.request("GET", path, labelSelector=f"prefect.io/flow-run-id={run_id}")
        (pod,) = (one for one in found["items"] if one["status"]["phase"] == "Running")
        return pod
