"""A real Kubernetes cluster for the tests: one node on this machine, whose containers Docker runs.

`LUME_TEST_KUBERNETES_BIN` names the folder with its programs, which `kubernetes-build` makes once; it and
`kubernetes-up` are scripts in the folder `shared/tools` beside the repository. Pods see the Python and the
packages of the tests by read-only mounts, as the containers of `servers_docker` do.

The worker is no administrator: it has the service account and the role of `config/kubernetes/worker.yaml`.
"""

from __future__ import annotations

import atexit
import functools
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import servers_docker
import yaml
from kubernetes_client import KubernetesAPI
from servers import ServerUnavailable, unavailable

REPOSITORY = Path(__file__).parent.parent
MANIFESTS = REPOSITORY / "config" / "kubernetes"
TOOLS = REPOSITORY.parent / "shared" / "tools"
PROGRAMS = os.environ.get("LUME_TEST_KUBERNETES_BIN")
IMAGE = servers_docker.IMAGE
PAUSE = "pause:local"  # as kubernetes-up has it
START_SECONDS = 180
REMEDY = "kubernetes-build, and apt-get install docker.io etcd-server, as root"

_PLACES = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}


class Cluster(KubernetesAPI):
    """A running cluster, as its administrator sees it.

    Args:
        programs: Folder with the programs of Kubernetes.
        docker: Address of the Docker daemon that runs its containers: `unix://…`.

    Raises:
        ServerUnavailable: It does not start.
    """

    def __init__(self, programs: Path, docker: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kubernetes-"))
        self.programs = programs
        _import_pause(docker, programs)
        environment = {
            **os.environ,
            "K8S_BIN": str(programs),
            "DOCKER_SOCK": docker.removeprefix("unix://"),
        }
        try:
            self._start(environment)
            found = yaml.safe_load((self.folder / "kubeconfig").read_text())
            (cluster,), (user,) = found["clusters"], found["users"]
            super().__init__(
                cluster["cluster"]["server"],
                user["user"]["token"],
                namespace=yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())["namespace"],
                certificate=Path(cluster["cluster"]["certificate-authority"]),
            )
            self._apply("namespace.yaml", ["Namespace"])
            self._apply("worker.yaml", ["ServiceAccount", "Role", "RoleBinding"])
        except BaseException:
            self.stop()
            raise

    def worker(self) -> KubernetesAPI:
        """Return the cluster as its worker sees it."""
        path = f"{_PLACES['ServiceAccount'].format(self.namespace)}/worker/token"
        token = self.request("POST", path, {"spec": {"expirationSeconds": 86_400}})["status"]["token"]
        return KubernetesAPI(self.url, token, namespace=self.namespace, certificate=self.certificate)

    def kill(self, run_id: str) -> None:
        """End the container of a flow run as `kill -9` does."""
        uid = self.running_pod(run_id)["metadata"]["uid"]
        labels = [f"io.kubernetes.pod.uid={uid}", "io.kubernetes.docker.type=container"]
        with servers_docker.client() as docker:
            (container,) = docker.containers.list(filters={"label": labels})
            container.kill()

    def stop(self) -> None:
        """Stop the cluster. Its containers end with the daemon."""
        subprocess.run([TOOLS / "kubernetes-down", self.folder], check=True, timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, environment: dict[str, str]) -> None:
        done = subprocess.run(
            [TOOLS / "kubernetes-up", self.folder],
            env=environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        if done.returncode or " Ready" not in done.stdout:
            said = " ".join((done.stdout + done.stderr).strip().splitlines()[-2:])
            raise ServerUnavailable(f"a Kubernetes cluster does not start here ({said})")

    def _apply(self, name: str, kinds: Sequence[str]) -> None:
        """Make the objects of these kinds that a manifest has."""
        for item in yaml.safe_load_all((MANIFESTS / name).read_text()):
            if item["kind"] in kinds:
                self.request("POST", _PLACES[item["kind"]].format(self.namespace), item)


def run_config(home: str) -> dict[str, Any]:
    """Return what pods need to find Python, the packages, a folder and the loopback of this machine."""
    mounts = [volume.split(":") for volume in (f"{home}:{home}:rw", *servers_docker.volumes())]
    named = {f"host{number}": mount for number, mount in enumerate(mounts)}
    return {
        "image": IMAGE,
        "image_pull_policy": "Never",
        "service_account_name": "job",
        "volumes": [{"name": name, "hostPath": {"path": outside}} for name, (outside, _, _) in named.items()],
        "volume_mounts": [
            {"name": name, "mountPath": inside, "readOnly": mode == "ro"}
            for name, (_, inside, mode) in named.items()
        ],
        "job_template": {"spec": {"template": {"spec": {"hostNetwork": True}}}},
    }


@functools.cache
def session_server() -> Cluster:
    """Return the cluster of this session, started on first use, or skip the test."""
    docker = servers_docker.host()
    try:
        cluster = _started(docker)
    except ServerUnavailable as error:
        unavailable(str(error), REMEDY)
    atexit.register(cluster.stop)
    return cluster


def _started(docker: str) -> Cluster:
    if PROGRAMS is None:
        raise ServerUnavailable("LUME_TEST_KUBERNETES_BIN is not set")
    needed = [
        TOOLS / "kubernetes-up",
        *(Path(PROGRAMS) / name for name in ("kube-apiserver", "kubelet", "pause")),
    ]
    missing = [str(path) for path in needed if not path.exists()]
    missing += [name for name in ("etcd", "curl", "openssl") if shutil.which(name) is None]
    if missing:
        raise ServerUnavailable(f"not there: {', '.join(missing)}")
    return Cluster(Path(PROGRAMS), docker)


def _import_pause(address: str, programs: Path) -> None:
    """Import the image of the container that holds the namespaces of a pod."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.add(programs / "pause", "pause")
    name, tag = PAUSE.split(":")
    with servers_docker.client(address) as docker:
        docker.api.import_image_from_data(
            content.getvalue(), repository=name, tag=tag, changes=['ENTRYPOINT ["/pause"]']
        )
