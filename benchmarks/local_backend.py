"""What a trivial flow costs on the local backend, against bare Prefect on a server, in the same run.

The first result in a fresh process, then each flow and each task. The server is Prefect's own, in memory,
started here; the time of its start is not counted.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import servers_prefect

REPEATS = 5
WORK = """
import logging, sys, time
start = time.perf_counter()
from prefect import flow, task
logging.disable()
@task
def one(): return 1
@flow
def empty(): return 1
@flow
def tasks(): return [one() for _ in range(20)]
if sys.argv[1] == "local":
    import lume_services
    service = lume_services.configure({"home": sys.argv[2]}).scheduling_service()
    run = lambda flow: service.run_and_return(flow=flow)
else:
    run = lambda flow: flow()
run(empty)
first = time.perf_counter() - start
def timed(flow, count):
    start = time.perf_counter()
    for _ in range(count): run(flow)
    return (time.perf_counter() - start) / count
flow_time = timed(empty, 10)
print(first, flow_time, timed(tasks, 5))
"""


def measure(how: str, environment: dict[str, str]) -> list[float]:
    """Return seconds to the first result, per empty flow, and per flow of 20 tasks, in a fresh process."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-c", WORK, how, home]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return [float(number) for number in done.stdout.split()]


def main() -> None:
    """Print medians of both, which take turns."""
    server = servers_prefect.start()
    rows: dict[str, list[list[float]]] = {"local": [], "bare": []}
    try:
        for _ in range(REPEATS):
            rows["local"].append(measure("local", servers_prefect.clean_environment(server.home)))
            rows["bare"].append(measure("bare", server.environment()))
    finally:
        servers_prefect.stop(server)
    local, bare = ([statistics.median(column) for column in zip(*row, strict=True)] for row in rows.values())
    names = ["first result, fresh process", "each empty flow after it", "each flow of 20 tasks"]
    for name, ours, theirs in zip(names, local, bare, strict=True):
        print(
            f"{name:28}{ours * 1000:8.1f} ms    bare Prefect {theirs * 1000:8.1f} ms    {ours / theirs:.2f}"
        )
    print(f"{'each task':28}{(local[2] - local[1]) / 20 * 1000:8.1f} ms")


if __name__ == "__main__":
    main()
