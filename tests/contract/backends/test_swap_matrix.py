"""The main job on every backend with every store, chosen by environment variables alone.

Its YAML is unchanged. In each of the places it gives the same outputs, with the same lineage.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
import servers_cluster
import servers_mongodb

from lume_services.config import configure, unconfigure
from lume_services.flows.runs.lineage import lineage
from lume_services.values import fingerprint

SPEC = files("lume_services.examples.quad_scan") / "quad_scan.yaml"
VALUES = ("--set", "beam.n_particle=5000", "--set", "track.points=9")
TABLE = Path(__file__).parents[3] / "docs" / "reference" / "swap_matrix.md"
BACKENDS = ("local", "process", "docker", "kubernetes", *(("cluster",) if servers_cluster.PROGRAMS else ()))
NAMES = {"kubernetes": "`kubernetes`, API server of the tests", "cluster": "`kubernetes`, real cluster"}
STORES = ("file", "hdf5", "mongodb")

seen: dict[tuple[str, str], Any] = {}
"""What was seen in each place, by backend and store."""


def store_variables(store: str) -> dict[str, str]:
    settings = servers_mongodb.settings() if store == "mongodb" else {"type": store}
    return {f"LUME_RESULTS_DB__{name.upper()}": str(value) for name, value in settings.items()}


def variables_of(settings: Any) -> dict[str, str]:
    """What a user sets to run in the place that these settings describe."""
    given: Mapping[str, Any] = settings if isinstance(settings, Mapping) else {"home": str(settings.home)}
    found = {"LUME_HOME": given["home"], "LUME_BACKEND": given.get("backend", "local")}
    found |= {f"LUME_PREFECT__{name.upper()}": value for name, value in given.get("prefect", {}).items()}
    if "run_config" in given:
        found["LUME_RUN_CONFIG"] = json.dumps(given["run_config"])
    return found


@pytest.fixture(params=[(backend, store) for backend in BACKENDS for store in STORES], ids="-".join)
def place(request, tmp_path, places) -> Iterator[tuple[tuple[str, str], dict[str, str]]]:
    """A place, and the variables that lead there."""
    backend, store = request.param
    variables = store_variables(store)
    with places[backend](tmp_path, **variables) as settings:
        yield request.param, {**variables_of(settings), **variables}


def origin(step: Mapping[str, Any]) -> Any:
    """What of a step has to be the same wherever it ran: neither ids nor times."""
    parents = {parameter: origin(parent) for parameter, parent in step["parents"].items()}
    return {name: step[name] for name in ("step", "flow", "code", "inputs")} | {"parents": parents}


def stored(variables: Mapping[str, str], monkeypatch) -> Any:
    """The outputs of all results, by fingerprint, and where they come from."""
    for name in [name for name in os.environ if name.startswith("LUME_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    context = configure()
    try:
        records = list(context.results_db_service().find_all(collection="quad_scan"))
        origins = [lineage(record).as_data() for record in records]
        outputs = sorted(fingerprint(record["outputs"]) for record in records)
    finally:
        unconfigure()
    specs = {found["run"]["spec_fingerprint"] for found in origins}
    return outputs, specs, sorted(fingerprint(origin(found["step"])) for found in origins)


def test_the_same_everywhere(place, tmp_path, monkeypatch):
    name, variables = place
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LUME_")}
    with as_file(SPEC) as spec:
        done = subprocess.run(
            [sys.executable, "-m", "lume_services", "run", str(spec), *VALUES, "--json"],
            env={**environment, **variables, "PREFECT_HOME": str(tmp_path / "prefect")},
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {step["state"] for step in json.loads(done.stdout)["steps"]} == {"completed"}
    seen[name] = stored(variables, monkeypatch)
    outputs, specs, origins = seen[name]
    assert len(outputs) == len(origins) == 2
    assert len(specs) == 1
    first = next(iter(seen.values()))
    assert seen[name] == first


def test_the_table_in_the_docs():
    """`LUME_TEST_WRITE_TABLE=1` writes the rows anew that were seen."""
    whole = [backend for backend in BACKENDS if all((backend, store) in seen for store in STORES)]
    if not whole:
        pytest.skip("no backend was tried with every store in this run: run the whole module")
    first = next(iter(seen.values()))
    lines = TABLE.read_text("utf-8").splitlines()
    for backend in whole:
        cells = ["same" if seen[backend, store] == first else "DIFFERENT" for store in STORES]
        begin = f"| {NAMES.get(backend, f'`{backend}`')} |"
        row = f"{begin} {' | '.join(cells)} |"
        if os.environ.get("LUME_TEST_WRITE_TABLE"):
            lines = [row if line.startswith(begin) else line for line in lines]
            TABLE.write_text("\n".join(lines) + "\n", "utf-8")
        assert row in lines
