"""What goes wrong between a run and its job: each has an error of its own, which says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import backend_flows as flows
import pytest
import servers_cluster
import servers_prefect
from servers import free_port

from lume_services.config import build_context
from lume_services.errors import (
    APINotAuthorisedError,
    APIUnreachableError,
    FlowCrashedError,
    ImageMissingError,
    NoWorkerError,
    RunConfigError,
    RunTimeoutError,
    UnschedulableError,
)
from lume_services.services.scheduling.backends.server_run import ServerRun

LONG = 120
on_docker = pytest.mark.parametrize("backend_settings", ["docker"], indirect=True)
CLUSTER = ["cluster"] if servers_cluster.PROGRAMS else []
on_kubernetes = pytest.mark.parametrize("backend_settings", ["kubernetes", *CLUSTER], indirect=True)
on_a_cluster = pytest.mark.parametrize(
    "backend_settings",
    CLUSTER or [pytest.param(None, marks=pytest.mark.skip("needs a real cluster"))],
    indirect=True,
)


def service_of(home: Path, backend: str = "process", **prefect: Any) -> Any:
    settings = {"home": str(home), "backend": backend, "prefect": prefect}
    return build_context(settings).scheduling_service()


@on_docker
@pytest.mark.parametrize("policy", ["Never", "IfNotPresent"])
def test_a_missing_image(service, policy):
    """By the second policy the worker asks a registry, which does not answer here or does not have it."""
    image = "127.0.0.1:1/nobody/has-this:1"
    handle = service.run(flow=flows.nothing, run_config={"image": image, "image_pull_policy": policy})
    with pytest.raises(ImageMissingError) as caught:
        handle.result(LONG)
    assert caught.value.image == image
    assert image in str(caught.value)
    assert "LUME_RUN_CONFIG__IMAGE" in str(caught.value)
    assert isinstance(caught.value, FlowCrashedError)


@on_docker
def test_too_little_memory(service):
    handle = service.run(flow=flows.hungry, parameters={"megabytes": 4000}, run_config={"mem_limit": "500m"})
    with pytest.raises(FlowCrashedError, match=r"(?i)memory") as caught:
        handle.result(LONG)
    assert "137" in str(caught.value) or "SIGKILL" in str(caught.value)
    assert "takes memory" in str(caught.value)


@on_docker
def test_an_unknown_network_is_no_missing_image(service):
    handle = service.run(flow=flows.nothing, run_config={"network": "nobody-has-this"})
    with pytest.raises(FlowCrashedError, match="network nobody-has-this not found") as caught:
        handle.result(LONG)
    assert not isinstance(caught.value, ImageMissingError)


@pytest.fixture
def impatient(context, backend_settings):
    """The service of somebody who waits 10 s for the start of a run."""
    prefect = {**backend_settings["prefect"], "start_timeout_seconds": 10}
    return build_context({**backend_settings, "prefect": prefect}).scheduling_service()


@on_kubernetes
@pytest.mark.parametrize("policy", ["Never", "IfNotPresent"])
def test_a_missing_image_on_kubernetes(impatient, policy):
    image = "127.0.0.1:1/nobody/has-this:1"
    handle = impatient.run(flow=flows.nothing, run_config={"image": image, "image_pull_policy": policy})
    with pytest.raises(ImageMissingError, match="ErrImage|ImagePullBackOff") as caught:
        handle.result(LONG)
    assert image in str(caught.value)
    handle.cancel()
    assert handle.wait(30).is_cancelled()


@on_kubernetes
def test_no_node_has_a_place(impatient):
    handle = impatient.run(flow=flows.nothing, run_config={"cpu_request": "64"})
    with pytest.raises(UnschedulableError, match="Insufficient cpu"):
        handle.result(LONG)
    handle.cancel()
    assert handle.wait(30).is_cancelled()


@on_a_cluster  # the API server of the tests sets no limits
def test_too_little_memory_on_a_cluster(service):
    config = {"memory_limit": "500Mi"}
    handle = service.run(flow=flows.hungry, parameters={"megabytes": 4000}, run_config=config)
    with pytest.raises(FlowCrashedError, match=r"(?i)memory|OOM") as caught:
        handle.result(LONG)
    assert "takes memory" in str(caught.value)


@on_docker
@pytest.mark.parametrize(
    ("run_config", "message"),
    [
        ({"volumes": ["/on/host:relative"]}, r"volumes\.\d+: .*absolute"),
        ({"volumes": ["/a:/b:rx"]}, r"volumes\.\d+: .*'ro' or 'rw'"),
        ({"network": "two words"}, "network"),
        ({"network": "host", "ports": [80]}, "network_mode is incompatible with port_bindings"),
        ({"host_config": {"shm_syze": "1g"}}, r"host_config\.shm_syze: .*Did you mean 'shm_size'"),
        ({"host_config": {"volumes": ["/a:/b"]}}, r"host_config\.volumes"),
        ({"mem_limit": "much"}, "much"),
    ],
)
def test_what_no_worker_could_start_is_not_sent(service, run_config, message):
    with pytest.raises(RunConfigError, match=message):
        service.run(flow=flows.nothing, run_config=run_config)


def test_docker_needs_an_image(tmp_path):
    pytest.importorskip("prefect_docker")
    service = service_of(tmp_path, "docker", api_url=servers_prefect.session_server().url)
    with pytest.raises(RunConfigError, match="LUME_RUN_CONFIG__IMAGE"):
        service.run(flow=flows.nothing)


def test_nobody_takes_the_run(tmp_path):
    service = service_of(
        tmp_path,
        api_url=servers_prefect.session_server().url,
        work_pool=f"nobody-{tmp_path.name}",
        start_timeout_seconds=2,
    )
    handle = service.run(flow=flows.nothing)
    with pytest.raises(NoWorkerError) as caught:
        handle.result(LONG)
    assert f"lume-services worker start --type process --pool nobody-{tmp_path.name}" in str(caught.value)
    assert handle.state.is_cancelled()  # before that was said
    assert "no worker takes runs" in handle.state.message


def test_a_run_that_could_not_be_cancelled_may_go_on(tmp_path, monkeypatch):
    service = service_of(
        tmp_path, api_url=servers_prefect.session_server().url, work_pool=f"nobody-{tmp_path.name}"
    )
    url = f"http://127.0.0.1:{free_port()}/api"

    def gone(handle):
        raise APIUnreachableError("the Prefect server does not answer.", where=url)

    monkeypatch.setattr(ServerRun, "cancel", gone)
    with pytest.raises(RunTimeoutError, match="it may go on: the Prefect server does not answer"):
        service.run_and_return(flow=flows.nothing, timeout=0.5)


def test_no_server_answers(tmp_path):
    url = f"http://127.0.0.1:{free_port()}/api"
    with pytest.raises(APIUnreachableError, match="LUME_PREFECT__API_URL") as caught:
        service_of(tmp_path, api_url=url).run(flow=flows.nothing)
    assert url in str(caught.value)


@pytest.mark.parametrize("credentials", [None, "physicist:wrong"])
def test_wrong_credentials(tmp_path, guarded, credentials):
    service = service_of(tmp_path, **{**guarded, "api_auth_string": credentials})
    with pytest.raises(APINotAuthorisedError, match="LUME_PREFECT__API_AUTH_STRING") as caught:
        service.run(flow=flows.nothing)
    assert "wrong" not in str(caught.value)


def test_right_credentials(tmp_path, guarded):
    service = service_of(tmp_path, **guarded)
    assert service.register_flow(flow=flows.nothing) == "nothing/default"
    assert "nothing/default" in service.list_flows()
