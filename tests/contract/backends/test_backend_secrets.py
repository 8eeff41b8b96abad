"""Secrets of a worker reach its jobs, and nothing that the Prefect server keeps."""

from __future__ import annotations

import json
import time
from urllib.request import Request, urlopen

import backend_flows as flows
import pytest
import servers_prefect

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


def everything() -> str:
    """Return all that the server tells of its records, as text."""
    url = servers_prefect.session_server().url
    found = []
    for kind in RECORDS:
        offset = 0
        while True:
            body = json.dumps({"limit": 200, "offset": offset}).encode()
            request = Request(f"{url}/{kind}/filter", body, {"Content-Type": "application/json"})
            with urlopen(request, timeout=30) as answer:
                text = answer.read().decode()
            found.append(text)
            if len(json.loads(text)) < 200:
                break
            offset += 200
    with urlopen(Request(f"{url}/events/filter", b"{}", {"Content-Type": "application/json"})) as answer:
        found.append(answer.read().decode())
    return "\n".join(found)


@pytest.mark.parametrize("backend_settings", ["process", "docker"], indirect=True)
def test_secrets_of_the_worker_are_in_its_jobs_only(service, worker_secret):
    name, secret = worker_secret
    handle = service.run(flow=flows.surroundings, parameters={"names": [name, "OF_THE_WORKER"]})
    assert handle.result(LONG) == {name: secret, "OF_THE_WORKER": "yes"}
    time.sleep(3)  # the logs of the job are sent every 2 s
    kept = everything()
    assert handle.run_id in kept
    assert secret not in kept
