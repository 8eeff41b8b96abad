"""Points of a scan per second on the local backend, with the results stored, and the memory that it takes.

For comparison, in the same run: such points as single runs of the flow-of-flows in this process.

    python benchmarks/scan.py [POINTS]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")

RUNS = 20
FLOWS = """
from prefect import flow


@flow
def square(x: float) -> float:
    return x * x


@flow
def shift(y: float, by: float = 1.0) -> dict[str, float]:
    return {"z": y + by}
"""
SPEC = {
    "name": "trivial",
    "composing_flows": [
        {"name": "square", "entrypoint": "trivial_flows:square"},
        {
            "name": "shift",
            "entrypoint": "trivial_flows:shift",
            "mapped_parameters": {"y": {"parent_flow_name": "square"}},
        },
    ],
}


def main(points: int) -> None:
    """Print the rate of each twentieth of a scan, and the memory of all its processes then."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "trivial_flows.py").write_text(FLOWS)
        sys.path.insert(0, folder)
        import lume_services
        from lume_services.flows import FlowOfFlows

        service = lume_services.configure({"home": folder}).results_db_service()
        composed = FlowOfFlows.from_yaml(SPEC)
        scan = composed.scan({"square.x": f"0:1:{points}"})
        print(f"{'points':>8}{'seconds':>9}{'per s':>8}{'this process':>14}{'workers':>10}")
        began = shown = time.perf_counter()
        done = before = 0
        for finished in scan.finished():
            done += len(finished.stored)
            if done - before >= points / 20:
                now = time.perf_counter()
                workers = "".join(f"{_megabytes(pid):>7.0f} MB" for pid in _children())
                rate = (done - before) / (now - shown)
                print(f"{done:8}{now - began:9.1f}{rate:8.0f}{_megabytes(os.getpid()):11.0f} MB{workers}")
                shown, before = now, done
        seconds = time.perf_counter() - began
        stored = service.count(collection=scan.collection)
        ours = points / seconds
        began = time.perf_counter()
        for number in range(RUNS):
            composed.run({"square": {"x": number}})
        runs = RUNS / (time.perf_counter() - began)
    print(f"{stored} stored: {ours:.0f} points/s with the start of the processes")
    print(f"as single runs: {runs:.1f} points/s; the scan is {ours / runs:.0f} times as fast")


def _children() -> list[int]:
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in listed.split()]


def _megabytes(pid: int) -> float:
    """Return the memory that a process has for itself; what it shares with others counts in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
