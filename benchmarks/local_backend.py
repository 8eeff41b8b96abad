"""What a trivial flow costs on the local backend: the first in a fresh process, then each flow and task."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

REPEATS = 5
SETUP = """
import logging, time
start = time.perf_counter()
import lume_services
from prefect import flow, task
logging.disable()
@task
def one(): return 1
@flow
def empty(): return 1
@flow
def tasks(): return [one() for _ in range(20)]
service = lume_services.configure({"home": HOME}).scheduling_service()
service.run_and_return(flow=empty)
first = time.perf_counter() - start
def timed(flow, count):
    start = time.perf_counter()
    for _ in range(count): service.run_and_return(flow=flow)
    return (time.perf_counter() - start) / count
flow_time = timed(empty, 20)
print(first, flow_time, (timed(tasks, 5) - flow_time) / 20)
"""


def measure() -> list[float]:
    """Return seconds to the first result, per flow, and per task, in a fresh process."""
    with tempfile.TemporaryDirectory() as home:
        code = SETUP.replace("HOME", repr(home))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


def main() -> None:
    """Print medians, and the import of Prefect alone beside them."""
    columns = zip(*(measure() for _ in range(REPEATS)), strict=True)
    first, per_flow, per_task = (statistics.median(column) for column in columns)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import prefect"], check=True)
    alone = time.perf_counter() - start
    print(f"first result, fresh process {first:6.2f} s    {first / alone:.1f} of import prefect alone")
    print(f"each flow after it          {per_flow * 1000:6.1f} ms")
    print(f"each task                   {per_task * 1000:6.1f} ms")


if __name__ == "__main__":
    main()
