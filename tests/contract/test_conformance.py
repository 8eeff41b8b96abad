"""The local backend on the in-process stand-in gives what Prefect alone gives on a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import servers_prefect

HERE = Path(__file__).parent


Outcomes = dict[str, dict[str, Any]]


def outcomes(how: str, environment: dict[str, str], target: Path) -> Outcomes:
    """Run all scenarios in a process of their own."""
    command = [sys.executable, "-W", "error", str(HERE / "conformance_run.py"), how, str(target)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(target.read_text())


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """The outcomes of the local backend, without any API."""
    folder = tmp_path_factory.mktemp("local")
    return outcomes("local", servers_prefect.clean_environment(folder), folder / "outcomes.json")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """The outcomes of Prefect alone, on a real server."""
    server = servers_prefect.session_server()
    folder = tmp_path_factory.mktemp("bare")
    environment = {**server.environment(), "PREFECT_HOME": str(folder)}
    return outcomes("bare", environment, folder / "outcomes.json")


def test_every_scenario_ends_without_a_server(local: Outcomes) -> None:
    assert len(local) >= 25
    unsupported = {
        name: o["cause"] for name, o in local.items() if o.get("cause") == "PrefectHTTPStatusError"
    }
    assert unsupported == {}
    assert {o["final"][0] for o in local.values()} == {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@pytest.mark.system
def test_outcomes_equal_those_of_a_real_server(local: Outcomes, bare: Outcomes) -> None:
    assert local.keys() == bare.keys()
    different = {
        name: {key: (local[name].get(key), bare[name].get(key)) for key in local[name] | bare[name]}
        for name in local
        if local[name] != bare[name]
    }
    differences = {
        f"{name}: {key}": pair
        for name, pairs in different.items()
        for key, pair in pairs.items()
        if pair[0] != pair[1]
    }
    assert differences == {}
