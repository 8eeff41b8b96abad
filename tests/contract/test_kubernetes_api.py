"""The Kubernetes API server of the tests, by itself and with Prefect's own Kubernetes worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import servers_kubernetes
import servers_prefect
from kubernetes_client import Refused
from servers_kubernetes import IMAGE

PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"


@pytest.fixture(scope="module")
def cluster():
    return servers_kubernetes.session_server()


def job(name, *command, backoff=0, ttl=None, **container):
    first = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": list(command),
        **container,
    }
    spec = {"backoffLimit": backoff, "template": {"spec": {"restartPolicy": "Never", "containers": [first]}}}
    if ttl is not None:
        spec["ttlSecondsAfterFinished"] = ttl
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def python(name, code, **further):
    return job(name, "python", "-c", code, **further)


def until(look, seconds=30):
    """Look until something is seen, and return it."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, "not seen"
        time.sleep(0.05)
    return seen


def pods_of(cluster, name):
    return cluster.request("GET", PODS, labelSelector=f"job-name={name}")["items"]


def finished(cluster, name):
    """Return the status of a job when it has ended."""
    return until(lambda: (s := cluster.request("GET", f"{JOBS}/{name}")["status"]).get("conditions") and s)


def waiting_pod(cluster, name):
    """Return the only pod of a job when it is clear why it does not start."""

    def look():
        for pod in pods_of(cluster, name):
            conditions = pod["status"].get("conditions", ())
            if pod["status"].get("containerStatuses") or any(one.get("reason") for one in conditions):
                return pod
        return None

    return until(look)


def state(pod):
    return pod["status"]["containerStatuses"][0]["state"]


def test_a_job_runs_its_command_in_an_environment_and_a_folder_of_its_own(cluster):
    code = "import os; print(os.environ['GREETING'], 'KUBERNETES_API_TOKEN' in os.environ, os.listdir('.'))"
    cluster.request("POST", JOBS, python("greets", code, env=[{"name": "GREETING", "value": "beam on"}]))
    assert finished(cluster, "greets")["succeeded"] == 1
    (pod,) = pods_of(cluster, "greets")
    assert pod["status"]["phase"] == "Succeeded"
    assert state(pod)["terminated"]["reason"] == "Completed"
    log = f"{PODS}/{pod['metadata']['name']}/log"
    assert cluster.request("GET", log) == "beam on False []\n"
    with pytest.raises(Refused, match="400"):
        cluster.request("GET", log, previous="true")


def test_a_failed_pod_is_tried_again_as_often_as_allowed(cluster):
    cluster.request("POST", JOBS, python("fails", "print('a\\nb\\nc'); raise SystemExit(3)", backoff=1))
    status = finished(cluster, "fails")
    assert (status["failed"], status["conditions"][0]["reason"]) == (2, "BackoffLimitExceeded")
    pods = pods_of(cluster, "fails")
    assert [state(pod)["terminated"]["exitCode"] for pod in pods] == [3, 3]
    assert cluster.request("GET", f"{PODS}/{pods[0]['metadata']['name']}/log", tailLines="2") == "b\nc\n"


def test_a_signal_and_a_missing_program_have_their_exit_codes(cluster):
    cluster.request("POST", JOBS, python("killed", "import os; os.kill(os.getpid(), 9)"))
    cluster.request("POST", JOBS, job("absent", "no-such-program"))
    finished(cluster, "killed")
    finished(cluster, "absent")
    assert state(pods_of(cluster, "killed")[0])["terminated"]["exitCode"] == 137
    assert state(pods_of(cluster, "absent")[0])["terminated"]["reason"] == "StartError"


def test_variables_come_from_config_maps_and_secrets(cluster):
    cluster.request(
        "POST",
        "/api/v1/namespaces/default/configmaps",
        {"metadata": {"name": "settings"}, "data": {"PLACE": "hall"}},
    )
    cluster.request(
        "POST",
        "/api/v1/namespaces/default/secrets",
        {"metadata": {"name": "keys"}, "stringData": {"KEY": "s3cret"}},
    )
    sources = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "absent", "optional": True}}]
    key = {"name": "MINE", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "KEY"}}}
    code = "import os; assert (os.environ['PLACE'], os.environ['MINE']) == ('hall', 's3cret')"
    cluster.request("POST", JOBS, python("configured", code, envFrom=sources, env=[key]))
    assert finished(cluster, "configured")["succeeded"] == 1
    cluster.request("POST", JOBS, python("unknown", code, envFrom=[{"secretRef": {"name": "absent"}}]))
    waits = state(waiting_pod(cluster, "unknown"))["waiting"]
    assert (waits["reason"], waits["message"]) == ("CreateContainerConfigError", 'secret "absent" not found')


@pytest.mark.parametrize(
    ("policy", "reason"), [("Never", "ErrImageNeverPull"), ("IfNotPresent", "ImagePullBackOff")]
)
def test_a_missing_image_is_told_in_the_pod_and_as_an_event(cluster, policy, reason):
    name = f"missing-{policy.lower()}"
    cluster.request("POST", JOBS, job(name, "true", image="absent:1", imagePullPolicy=policy))
    pod = waiting_pod(cluster, name)
    assert (pod["status"]["phase"], state(pod)["waiting"]["reason"]) == ("Pending", reason)
    events = cluster.request(
        "GET",
        "/api/v1/namespaces/default/events",
        fieldSelector=f"involvedObject.name={pod['metadata']['name']}",
    )["items"]
    assert ["absent:1" in event["message"] for event in events] == [True]


def test_too_many_cpus_are_not_scheduled(cluster):
    cluster.request("POST", JOBS, job("large", "true", resources={"requests": {"cpu": "4100m"}}))
    pod = waiting_pod(cluster, "large")
    assert pod["status"]["phase"] == "Pending"
    (condition,) = pod["status"]["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    assert "Insufficient cpu" in condition["message"]
    cluster.request("DELETE", f"{JOBS}/large")
    until(lambda: not pods_of(cluster, "large"))


def test_a_deleted_job_takes_its_process_along(cluster, tmp_path):
    path = tmp_path / "pid"
    code = (
        f"import os, time; open({str(path)!r} + '-', 'w').write(str(os.getpid()));"
        f"os.rename({str(path)!r} + '-', {str(path)!r}); time.sleep(60)"
    )
    cluster.request("POST", JOBS, python("endless", code))
    until(path.exists)
    cluster.request("DELETE", f"{JOBS}/endless", {"propagationPolicy": "Background"})
    until(lambda: not pods_of(cluster, "endless"))
    with pytest.raises(ProcessLookupError):
        os.kill(int(path.read_text()), 0)
    with pytest.raises(Refused, match='404: jobs "endless" not found'):
        cluster.request("GET", f"{JOBS}/endless")


def test_what_a_container_leaves_behind_ends_with_it(cluster, tmp_path):
    path = tmp_path / "pid"
    code = (
        "import pathlib, subprocess;"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True);"
        f"pathlib.Path({str(path)!r}).write_text(str(child.pid))"
    )
    cluster.request("POST", JOBS, python("careless", code))
    finished(cluster, "careless")
    until(lambda: not Path(f"/proc/{path.read_text()}").exists())


def test_a_job_is_removed_after_its_time(cluster):
    cluster.request("POST", JOBS, job("short", "true", ttl=0))
    until(lambda: not cluster.request("GET", JOBS, fieldSelector="metadata.name=short")["items"])
    assert not pods_of(cluster, "short")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": 1}, "spec.template.spec.containers.0.image: 1 is not of type"),
        ({"resources": {"limits": {"cpu": "two"}}}, "'two' is not a quantity"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(cluster, change, message):
    with pytest.raises(Refused, match="422") as refused:
        cluster.request("POST", JOBS, job("wrong", "true", **change))
    assert message in str(refused.value)


def test_what_is_not_there_or_not_allowed_is_refused(cluster):
    with pytest.raises(Refused, match='404: namespaces "absent" not found'):
        cluster.request("POST", "/apis/batch/v1/namespaces/absent/jobs", job("nowhere", "true"))
    with pytest.raises(Refused, match="404"):
        cluster.request("GET", "/api/v1/namespaces/default/jobs")


def test_a_wrong_token_is_refused(cluster, monkeypatch):
    monkeypatch.setattr(cluster, "token", "wrong")
    with pytest.raises(Refused, match="401"):
        cluster.request("GET", JOBS)


def test_a_watch_tells_every_change_and_ends_with_a_bookmark(cluster):
    begin = cluster.request("GET", JOBS)["metadata"]["resourceVersion"]
    cluster.request("POST", JOBS, job("watched", "true"))
    finished(cluster, "watched")
    query = f"watch=true&resourceVersion={begin}&timeoutSeconds=1&allowWatchBookmarks=true"
    request = Request(f"{cluster.url}{JOBS}?{query}", headers={"Authorization": f"Bearer {cluster.token}"})
    with urlopen(request, timeout=30) as answer:
        events = [json.loads(line) for line in answer]
    mine = [event for event in events if event["object"]["metadata"].get("name") == "watched"]
    assert [event["type"] for event in mine] == ["ADDED", "MODIFIED", "MODIFIED"]
    assert "conditions" in mine[-1]["object"]["status"]
    assert events[-1]["type"] == "BOOKMARK"
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) > int(begin)


@contextmanager
def worker(cluster, pool, folder):
    """Prefect's own worker, as its command line starts it."""
    environment = {
        **servers_prefect.session_server().environment(),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_WORKER_QUERY_SECONDS": "0.5",
        "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES": "default",
        "KUBECONFIG": str(cluster.kubeconfig(folder / "kubeconfig")),
    }
    command = [sys.executable, "-m", "prefect", "worker", "start", "--type", "kubernetes", "--pool", pool]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_a_pod_of_a_run_is_killed(cluster):
    killed = python("run", "import time; time.sleep(60)")
    killed["spec"]["template"]["metadata"] = {"labels": {"prefect.io/flow-run-id": "r1"}}
    cluster.request("POST", JOBS, killed)
    until(lambda: [pod["status"]["phase"] for pod in pods_of(cluster, "run")] == ["Running"])
    cluster.kill("r1")
    assert finished(cluster, "run")["failed"] == 1
    assert pods_of(cluster, "run") == []


@pytest.mark.system
def test_the_worker_of_prefect_runs_flows(cluster, tmp_path):
    from prefect import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    pool = f"plain-{tmp_path.name}"

    with (
        worker(cluster, pool, tmp_path),
        temporary_settings({PREFECT_API_URL: servers_prefect.session_server().url}),
        get_client(sync_client=True) as client,
    ):

        def started(flow, parameters, **variables):
            flow_id = client.create_flow_from_name(flow)
            deployment = client.create_deployment(
                flow_id,
                f"{flow} {' '.join(variables)}",
                entrypoint=f"backend_flows.{flow}",
                work_pool_name=pool,
                job_variables={"image": IMAGE, "image_pull_policy": "Never", **variables},
            )
            return client.create_flow_run_from_deployment(deployment, parameters=parameters).id

        def ended(run):
            seen = until(lambda: (r := client.read_flow_run(run)).state.is_final() and r, seconds=90)
            return seen.state

        log = tmp_path / "worker.log"
        until(lambda: "started!" in log.read_text(), seconds=90)
        missing = started("numbers", {"x": 1}, image="absent:1")
        dies = started("numbers", {"x": 1}, command="python -c 'import os; os.kill(os.getpid(), 9)'")
        completes, fails = started("numbers", {"x": 1}), started("failing", {})
        assert ended(completes).name == "Completed", log.read_text()
        failed = ended(fails)
        assert (failed.name, "beam lost" in failed.message) == ("Failed", True)
        # Told by the observer of the worker, which watches jobs and pods.
        assert ended(dies).name == "Crashed"
        assert client.read_flow_run(missing).state.is_pending()
        (pod,) = cluster.request("GET", PODS, labelSelector=f"prefect.io/flow-run-id={missing}")["items"]
        assert state(pod)["waiting"]["reason"] == "ErrImageNeverPull"
