"""From `run()` to the first line of the flow on a process worker, against Prefect's defaults.

Then the time of many short runs together. The server is Prefect's own, in memory, started here.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(TESTS))
import servers_prefect  # noqa: E402

LATENCY_RUNS = 9
DEFAULT_RUNS = 5
SHORT_RUNS = 100
AT_ONCE = 4


@contextmanager
def worker(*command: str, environment: dict[str, str]) -> Iterator[None]:
    """A worker that has begun to poll."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(8)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def default_latency() -> float:
    """Return the median seconds with Prefect's own worker and its defaults."""
    from backend_flows import first_line
    from prefect import flow
    from prefect.deployments import run_deployment

    bare = flow(first_line.fn, name="bare").to_deployment(
        "bare", work_pool_name="theirs", entrypoint_type="module_path"
    )
    bare.entrypoint = "backend_flows.first_line"
    bare.apply()
    seconds = []
    for _ in range(DEFAULT_RUNS):
        begin = time.time()
        run = run_deployment("bare/bare", poll_interval=0.2)
        seconds.append(run.start_time.timestamp() - begin)
    return statistics.median(seconds)


def main() -> None:
    """Print medians."""
    server = servers_prefect.start()
    home = tempfile.mkdtemp()
    os.environ |= server.environment() | {"PREFECT_LOGGING_LEVEL": "ERROR"}
    from backend_flows import first_line

    import lume_services

    context = lume_services.configure({"home": home, "backend": "process", "prefect": {"work_pool": "ours"}})
    service = context.scheduling_service()
    environment = {
        **os.environ,
        "PYTHONPATH": str(TESTS),
        "LUME_HOME": home,
        "LUME_BACKEND": "process",
        "LUME_PREFECT__WORK_POOL": "ours",
        "PYTHONDONTWRITEBYTECODE": "",  # where it is set, every job would compile what it imports
    }
    try:
        command = (sys.executable, "-m", "lume_services", "worker", "start", "--limit", str(AT_ONCE))
        with worker(*command, environment=environment):
            seconds = []
            for _ in range(LATENCY_RUNS):
                begin = time.time()
                seconds.append(service.run_and_return(first_line) - begin)
            median = statistics.median(seconds)
            print(f"run() to first line       {median:6.2f} s   worst {max(seconds):.2f} s", flush=True)
            begin = time.perf_counter()
            for handle in [service.run(first_line) for _ in range(SHORT_RUNS)]:
                handle.wait()
            together = time.perf_counter() - begin
        each = together / SHORT_RUNS
        print(
            f"{SHORT_RUNS} short runs, {AT_ONCE} at once  {together:6.1f} s   {each:.2f} s each", flush=True
        )
        subprocess.run(
            [sys.executable, "-m", "prefect", "work-pool", "create", "theirs", "--type", "process"],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        theirs = (sys.executable, "-m", "prefect", "worker", "start", "--pool", "theirs")
        with worker(*theirs, environment=environment):
            print(f"with Prefect's defaults   {default_latency():6.2f} s   to the state Running")
    finally:
        servers_prefect.stop(server)


if __name__ == "__main__":
    main()
