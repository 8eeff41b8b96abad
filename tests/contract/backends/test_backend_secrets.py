"""Secrets of a worker reach its jobs, and nothing that the Prefect server keeps."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from pathlib import Path
from urllib.request import Request, urlopen

import backend_flows as flows
import pytest
import servers_prefect

from lume_services.config import build_context, use_context
from lume_services.errors import FlowFailedError

LONG = 120
RECORDS = (
    "artifacts",
    "block_documents",
    "deployments",
    "flow_runs",
    "flows",
    "logs",
    "task_runs",
    "variables",
    "work_pools",
    "work_queues",
)


def everything(url: str, credentials: str | None = None) -> str:
    """Return all that the server tells of its records, as text."""
    headers = {"Content-Type": "application/json"}
    if credentials:
        headers["Authorization"] = f"Basic {b64encode(credentials.encode()).decode()}"
    found = []
    for kind in RECORDS:
        offset = 0
        while True:
            body = json.dumps({"limit": 200, "offset": offset}).encode()
            request = Request(f"{url}/{kind}/filter", body, headers)
            with urlopen(request, timeout=30) as answer:
                text = answer.read().decode()
            found.append(text)
            if len(json.loads(text)) < 200:
                break
            offset += 200
    with urlopen(Request(f"{url}/events/filter", b"{}", headers), timeout=30) as answer:
        found.append(answer.read().decode())
    return "\n".join(found)


@pytest.mark.parametrize("backend_settings", ["process", "docker"], indirect=True)
def test_secrets_of_the_worker_are_in_its_jobs_only(service, worker_secret):
    name, secret = worker_secret
    handle = service.run(flow=flows.surroundings, parameters={"names": [name, "OF_THE_WORKER"]})
    assert handle.result(LONG) == {name: secret, "OF_THE_WORKER": "yes"}
    time.sleep(3)  # the logs of the job are sent every 2 s
    kept = everything(servers_prefect.session_server().url)
    assert handle.run_id in kept
    assert secret not in kept


def test_credentials_of_the_server_are_in_no_record_log_or_error(guarded_process):
    """Caller and worker have them in their settings, and the jobs by their worker."""
    credentials = guarded_process["prefect"]["api_auth_string"]
    context = build_context(guarded_process)
    with use_context(context):
        service = context.scheduling_service()
        handle = service.run(flow=flows.numbers, parameters={"x": 1})
        assert handle.result(LONG) == 6
        assert handle.task_result("twice") == 4
        with pytest.raises(FlowFailedError, match="beam lost") as caught:
            service.run_and_return(flow=flows.failing, timeout=LONG)
    time.sleep(3)  # the logs of the job are sent every 2 s
    kept = everything(guarded_process["prefect"]["api_url"], credentials)
    assert handle.run_id in kept
    log = Path(guarded_process["home"]).with_name("worker.log").read_text()
    for secret in (credentials.partition(":")[2], b64encode(credentials.encode()).decode()):
        assert secret not in kept
        assert secret not in log
        assert secret not in f"{caught.value} {caught.value.traceback} {context.settings()!r} {handle!r}"
