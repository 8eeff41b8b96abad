"""The local backend with the API of a real server: the run appears there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import servers_prefect

pytestmark = pytest.mark.system

RUN = """
from prefect import flow, task
from lume_services.config import current_context

@task
def double(x):
    return 2 * x

@flow(log_prints=True)
def measured(x):
    print("beam on")
    return double(x)

handle = current_context().scheduling_service().run(measured, {"x": 4}, {"labels": ["night"]})
print(handle.run_id, handle.result(), handle.task_result("double"))
"""


def ask(server: servers_prefect.Server, path: str, body: dict | None = None):
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{server.url}/{path}", data, {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


def run(environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "measured.py").write_text(RUN)
    environment = {**environment, "LUME_HOME": str(folder), "PREFECT_HOME": str(folder / "prefect")}
    command = [sys.executable, "measured.py"]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("variable", ["PREFECT_API_URL", "LUME_PREFECT__API_URL"])
def test_the_run_appears_at_the_server_that_the_environment_names(variable, tmp_path):
    server = servers_prefect.session_server()
    done = run({**servers_prefect.clean_environment(tmp_path), variable: server.url}, tmp_path)
    assert done.returncode == 0, done.stderr
    run_id, result, of_task = done.stdout.splitlines()[-1].split()
    assert (result, of_task) == ("8", "8")
    found = ask(server, f"flow_runs/{run_id}")
    assert (found["state_type"], found["parameters"], found["tags"]) == ("COMPLETED", {"x": 4}, ["night"])
    (task_run,) = ask(server, "task_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
    assert task_run["name"].startswith("double")


def test_a_server_that_is_away_is_named(tmp_path):
    url = "http://127.0.0.1:9/api"
    done = run({**servers_prefect.clean_environment(tmp_path), "PREFECT_API_URL": url}, tmp_path)
    assert done.returncode != 0
    assert url in done.stderr
    assert "PREFECT_API_URL" in done.stderr
