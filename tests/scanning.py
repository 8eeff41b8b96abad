"""What the tests of scans share."""

from __future__ import annotations

import time
from pathlib import Path

from lume_services.flows import FlowOfFlows

WAIT = 60  # seconds, for what comes soon


def step(name, parameters=None, **mapped):
    entrypoint = f"scan_flows:{name.replace('-', '_')}"
    return {
        "name": name,
        "entrypoint": entrypoint,
        "parameters": parameters or {},
        "mapped_parameters": mapped,
    }


def from_step(name, **more):
    return {"parent_flow_name": name, **more}


def compose(*steps, **top):
    return FlowOfFlows.from_yaml({"name": "scanned", "composing_flows": list(steps), **top})


SQUARES = (step("square"), step("shift", y=from_step("square")))


def wait_until(condition, seconds=WAIT):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def workers_in(folder):
    """The processes that have run the flow `noted`."""
    return [int(file.name.partition("-")[2]) for file in folder.glob("worker-*")]
