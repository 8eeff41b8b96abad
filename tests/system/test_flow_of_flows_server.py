"""A flow-of-flows at a real server: parent and children, and what the Prefect UI shows of them."""

from __future__ import annotations

import json
import threading
import time
from importlib.resources import files
from typing import Any
from urllib.request import Request, urlopen

import pytest
import servers_prefect
from prefect import flow

from lume_services.config import configure, unconfigure
from lume_services.flows import FlowOfFlows
from lume_services.testing import isolated_settings

SPEC = files("lume_services.examples.quad_scan") / "quad_scan.yaml"
PARAMETERS = {"beam": {"n_particle": 5000}, "track": {"points": 9}}


def ask(path: str, body: dict[str, Any]) -> Any:
    server = servers_prefect.session_server()
    request = Request(f"{server.url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def at_server(tmp_path, lume_context):
    """The local backend with the API of a real server."""
    unconfigure()
    settings = isolated_settings(tmp_path / "lume")
    settings = settings.model_copy(
        update={
            "prefect": settings.prefect.model_copy(update={"api_url": servers_prefect.session_server().url})
        }
    )
    yield configure(settings)
    unconfigure()


def test_the_steps_are_children_and_the_artifacts_show_the_run(at_server):
    run = FlowOfFlows.from_yaml(SPEC).run(PARAMETERS)
    of_run = {"flow_runs": {"parent_flow_run_id": {"any_": [run.run_id]}}}
    children = {child["id"]: child["name"] for child in ask("flow_runs/filter", of_run)}
    assert children == {event.run_id: step for step, event in run.steps.items()}

    found = ask("artifacts/filter", {"flow_runs": {"id": {"any_": [run.run_id]}}})
    artifacts = {artifact["key"]: artifact for artifact in found}
    assert artifacts.keys() == {"graph", "steps", "results", "plot-1"}
    assert "1  beam: completed" in artifacts["graph"]["data"]
    assert "class s0,s1,s2 completed" in artifacts["graph"]["data"]
    steps = json.loads(artifacts["steps"]["data"])
    assert [(row["step"], row["state"]) for row in steps] == [
        ("beam", "completed"),
        ("track", "completed"),
        ("fit", "completed"),
    ]
    assert run.steps["fit"].run_id in steps[2]["run"]
    stored = {row["result"] for row in json.loads(artifacts["results"]["data"])}
    records = at_server.results_db_service().find_all(collection="quad_scan")
    assert stored <= {record["unique_hash"] for record in records}
    assert artifacts["plot-1"]["data"].startswith("data:image/png;base64,")


def test_no_more_steps_than_the_limit_run_at_the_same_time(lume_context):
    lock = threading.Lock()
    running: list[str] = []
    most: list[int] = []

    @flow
    def busy(name: str) -> str:
        with lock:
            running.append(name)
            most.append(len(running))
        time.sleep(0.2)
        with lock:
            running.remove(name)
        return name

    steps = [
        {"name": "busy", "alias": f"busy-{number}", "parameters": {"name": f"{number}"}}
        for number in range(7)
    ]
    composed = FlowOfFlows.from_yaml({"name": "limited", "composing_flows": steps}, [busy])
    assert len(composed.run(limit=2).results) == 7
    assert max(most) == 2
    most.clear()
    composed.run()
    assert max(most) > 2
