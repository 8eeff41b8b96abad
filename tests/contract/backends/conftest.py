"""The backends that the contract is tested on: a context of each, with its server and worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import servers_cluster
import servers_docker
import servers_kubernetes
import servers_prefect
from kubernetes_client import KubernetesAPI
from servers import ServerUnavailable, unavailable

from lume_services.config import Context, configure, unconfigure
from lume_services.testing import isolated_settings

TESTS = Path(__file__).parent.parent.parent
SECRET = ("LUME_TEST_PASSWORD", "spectrometer-7f3a")


@contextmanager
def running_worker(settings: dict[str, Any], log: Path, **further: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as the command line starts it, with further variables; stopped by its first SIGTERM."""
    environment = {
        **servers_prefect.clean_environment(log.parent / "prefect"),
        "LUME_HOME": settings["home"],
        "LUME_BACKEND": settings["backend"],
        "LUME_PREFECT__API_URL": settings["prefect"]["api_url"],
        "LUME_PREFECT__WORK_POOL": settings["prefect"]["work_pool"],
        "PYTHONPATH": str(TESTS),
        SECRET[0]: SECRET[1],
        "LUME_WORKER__ENV": '{"OF_THE_WORKER": "yes"}',
        **further,
    }
    command = [sys.executable, "-m", "lume_services", "worker", "start"]
    with log.open("ab") as output:
        worker = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield worker
    finally:
        worker.terminate()
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def server_settings(backend: str, folder: Path) -> dict[str, Any]:
    """The settings of a backend with a server."""
    return {
        "home": str(folder / "lume"),
        "backend": backend,
        "prefect": {
            "api_url": servers_prefect.session_server().url,
            "work_pool": f"test-{backend}-{folder.name}",
        },
    }


@contextmanager
def local(folder: Path, **variables: str) -> Iterator[Any]:
    yield isolated_settings(folder / "lume")


@contextmanager
def process(folder: Path, **variables: str) -> Iterator[Any]:
    settings = server_settings("process", folder)
    with running_worker(settings, folder / "worker.log", **variables):
        yield settings


@contextmanager
def docker(folder: Path, **variables: str) -> Iterator[Any]:
    address = servers_docker.host()
    settings = server_settings("docker", folder)
    home = settings["home"]
    Path(home).mkdir()  # otherwise it would be Docker's
    settings["run_config"] = {
        "image": servers_docker.IMAGE,
        "image_pull_policy": "Never",
        "network": "host",
        "volumes": [f"{home}:{home}", *servers_docker.volumes()],
    }
    with running_worker(settings, folder / "worker.log", DOCKER_HOST=address, **variables):
        yield settings
    servers_docker.remove_containers()


@contextmanager
def kubernetes(folder: Path, **variables: str) -> Iterator[Any]:
    """On an API server of the tests, which runs pods as processes of this machine."""
    server = servers_kubernetes.session_server()
    run_config = {"image": servers_kubernetes.IMAGE, "image_pull_policy": "Never"}
    with on_kubernetes(folder, server, server, run_config, variables) as settings:
        yield settings


@contextmanager
def cluster(folder: Path, **variables: str) -> Iterator[Any]:
    """On a real cluster, with the rights that our manifests give to a worker."""
    server = servers_cluster.session_server()
    home = folder / "lume"
    home.mkdir()
    run_config = servers_cluster.run_config(str(home))
    with on_kubernetes(folder, server, server.worker(), run_config, variables) as settings:
        yield settings
    servers_docker.remove_containers()


@contextmanager
def on_kubernetes(
    folder: Path,
    operator: KubernetesAPI,
    user: KubernetesAPI,
    run_config: dict[str, Any],
    variables: Mapping[str, str],
) -> Iterator[Any]:
    settings = server_settings("kubernetes", folder)
    settings["run_config"] = {"namespace": user.namespace, **run_config}
    operator.configure_jobs(
        {
            "LUME_HOME": settings["home"],
            "LUME_BACKEND": "kubernetes",
            "LUME_PREFECT__WORK_POOL": settings["prefect"]["work_pool"],
            "OF_THE_WORKER": "yes",
            SECRET[0]: SECRET[1],
            **variables,
        }
    )
    watched = {"PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES": user.namespace}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(user.kubeconfig(folder / "kubeconfig")))
        with running_worker(settings, folder / "worker.log", **watched):
            yield settings


# A further backend joins here.
BACKENDS: dict[str, Callable[..., Any]] = {
    "local": local,
    "process": process,
    "docker": docker,
    "kubernetes": kubernetes,
    **({"cluster": cluster} if servers_cluster.PROGRAMS else {}),
}


def kill_process(run_id: str, process: int) -> None:
    os.kill(process, signal.SIGKILL)


def kill_container(run_id: str, process: int) -> None:
    servers_docker.kill(run_id)


def kill_pod(run_id: str, process: int) -> None:
    servers_kubernetes.session_server().kill(run_id)


def kill_pod_of_cluster(run_id: str, process: int) -> None:
    servers_cluster.session_server().kill(run_id)


KILLS: dict[str, Callable[[str, int], None]] = {
    "process": kill_process,
    "docker": kill_container,
    "kubernetes": kill_pod,
    "cluster": kill_pod_of_cluster,
}


@pytest.fixture
def places() -> Mapping[str, Callable[..., Any]]:
    """What brings each backend up: in a folder, with further variables of its worker and jobs."""
    return BACKENDS


@pytest.fixture(scope="session", params=BACKENDS)
def backend_settings(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The settings of a backend whose server and worker are running."""
    with (
        tempfile.TemporaryDirectory(prefix="backend-") as folder,
        BACKENDS[request.param](Path(folder)) as settings,
    ):
        yield settings


@pytest.fixture
def context(backend_settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """The container of a test on that backend."""
    for name in [name for name in os.environ if name.startswith("LUME_")]:
        monkeypatch.delenv(name)
    yield configure(backend_settings)
    unconfigure()


@pytest.fixture
def service(context: Context) -> Any:
    return context.scheduling_service()


@pytest.fixture
def name(context: Context) -> str:
    """The name of the backend."""
    return str(context.settings().backend)


@pytest.fixture
def kill(request: pytest.FixtureRequest, backend_settings: Any) -> Callable[[str, int], None]:
    """End the job of a run, given its id and the number of its process, as `kill -9` does."""
    backend = request.node.callspec.params["backend_settings"]
    if backend not in KILLS:
        pytest.skip("the job is this process")
    return KILLS[backend]


@pytest.fixture(scope="session")
def guarded() -> Iterator[Any]:
    """The settings of a Prefect server that wants credentials."""
    credentials = "physicist:undulator-9c1e"
    try:
        server = servers_prefect.start(PREFECT_SERVER_API_AUTH_STRING=credentials)
    except ServerUnavailable as error:
        unavailable(str(error), servers_prefect.REMEDY)
    yield {"api_url": server.url, "api_auth_string": credentials}
    servers_prefect.stop(server)


@pytest.fixture
def guarded_process(guarded: Any, tmp_path: Path) -> Iterator[Any]:
    """The settings of the process backend there, with a worker that has the credentials, too."""
    prefect = {**guarded, "work_pool": tmp_path.name}
    settings = {"home": str(tmp_path / "lume"), "backend": "process", "prefect": prefect}
    credentials = {"LUME_PREFECT__API_AUTH_STRING": guarded["api_auth_string"]}
    with running_worker(settings, tmp_path / "worker.log", **credentials):
        yield settings


@pytest.fixture
def worker_secret() -> tuple[str, str]:
    """A variable of the worker, and its value."""
    return SECRET
