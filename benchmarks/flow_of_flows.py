"""Ten independent steps of one second, on `local` and on a process worker, and what a step costs.

Aims: under 2.5 s on `local` without the start of Python; on `process`, where each step is a process of its
own, under twice the slowest step and its start-up. Then the cost of a step that does nothing, against the
same flow as a plain Prefect subflow in the same process.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(TESTS))
os.environ["PREFECT_LOGGING_LEVEL"] = "CRITICAL"
import timed_flows  # noqa: E402
from prefect import flow  # noqa: E402

from lume_services.config import configure, unconfigure  # noqa: E402
from lume_services.flows import FlowOfFlows  # noqa: E402
from lume_services.services.scheduling import SchedulingService  # noqa: E402
from lume_services.testing import isolated_settings  # noqa: E402

STEPS = 10
ROUNDS = 5
MANY = 60


def spec(count: int, name: str, **parameters: Any) -> dict[str, Any]:
    steps = [{"name": name, "alias": f"step-{n}", "parameters": parameters} for n in range(count)]
    return {"name": "timed", "composing_flows": steps}


def seconds_of(composed: FlowOfFlows) -> tuple[float, float]:
    """Return how long a run took, and its slowest step."""
    began = time.perf_counter()
    run = composed.run()
    took = time.perf_counter() - began
    return took, max(event.duration or 0.0 for event in run.steps.values())


def on_local(folder: Path) -> None:
    context = configure(isolated_settings(folder / "local"))
    wait = FlowOfFlows.from_yaml(spec(STEPS, "wait", seconds=1.0), flows=[timed_flows.wait])
    FlowOfFlows.from_yaml(spec(1, "nothing"), flows=[timed_flows.nothing]).run()  # starts the in-process API
    took = [seconds_of(wait)[0] for _ in range(ROUNDS)]
    print(f"local: {STEPS} independent steps of 1 s: median {statistics.median(took):.2f} s (aim 2.5 s)")

    chain = FlowOfFlows.from_yaml(spec(MANY, "nothing"), flows=[timed_flows.nothing])
    ours = statistics.median(chain.run() and seconds_of(chain)[0] for _ in range(3)) / MANY
    service: SchedulingService = context.scheduling_service()

    @flow
    def plain() -> None:
        for _ in range(MANY):
            timed_flows.nothing()

    def plain_seconds() -> float:
        began = time.perf_counter()
        service.run_and_return(flow=plain)
        return time.perf_counter() - began

    raw = statistics.median(plain_seconds() for _ in range(3)) / MANY
    print(f"local: a step {ours * 1e3:.1f} ms, a plain subflow {raw * 1e3:.1f} ms: ratio {ours / raw:.2f}")
    unconfigure()


def on_process(folder: Path) -> None:
    import servers_prefect
    from contract.backends.conftest import process

    with process(folder) as settings:
        configure(settings)
        one = FlowOfFlows.from_yaml(spec(1, "wait", seconds=1.0), flows=[timed_flows.wait])
        single = statistics.median(seconds_of(one)[0] for _ in range(3))
        ten = FlowOfFlows.from_yaml(spec(STEPS, "wait", seconds=1.0), flows=[timed_flows.wait])
        took, slowest = min(seconds_of(ten) for _ in range(3))
        unconfigure()
    servers_prefect.stop(servers_prefect.session_server())
    print(
        f"process: one step of 1 s {single:.1f} s; {STEPS} at once {took:.1f} s, the slowest {slowest:.1f} s"
    )
    print(f"         on {os.cpu_count()} cores, which {STEPS} jobs share with the server")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as created:
        on_local(Path(created))
        on_process(Path(created))
