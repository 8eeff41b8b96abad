"""The flows of the backends' contract: importable, so that workers in other processes can run them."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from pathlib import Path

import numpy as np
from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run
from pydantic import SecretStr


@task
def double(x):
    return 2 * x


@task
def broken():
    raise ValueError("beam lost")


@flow
def numbers(x: int, offset: int = 0) -> int:
    """Add numbers up."""
    double(x)
    double.with_options(name="twice")(x + 1)
    return double(x + 2) + offset


@flow
def failing():
    double(1)
    broken()


@flow
def surroundings(names: list[str]):
    return {name: os.environ.get(name) for name in names}


@flow
def login(password: SecretStr):
    return len(password.get_secret_value())


@flow
def place(after: dict | None = None):
    return {"process": os.getpid(), "variable": os.environ.get("PLACE")}


@flow
def started_by() -> str:
    return Path(f"/proc/{os.getppid()}/cmdline").read_text()


@flow
def talking():
    get_run_logger().warning("beam on")
    return double(1)


@flow
def image(rows: int):
    return {"image": np.arange(rows * 1000, dtype=float).reshape(rows, 1000), "unit": "counts"}


@flow
def image_sum(rows: int):
    return double(np.ones((rows, 1000))).sum()


@flow
def echo(value, moment: datetime, pair: tuple[int, float], image: np.ndarray):
    """Return what came in, and of what types it is."""
    given = {"value": value, "moment": moment, "pair": pair, "sum": float(image.sum())}
    return given | {"types": [type(one).__name__ for one in (value, moment, pair, image)]}


@flow
def nothing():
    return None


@flow
def unstorable():
    return lambda: 1


@flow
def first_line():
    return time.time()


@flow
def slow(seconds: float, path: str):
    """Write its process id, then wait."""
    Path(path).write_text(str(os.getpid()))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.05)
    return "done"


@flow
def noted(path: str, value: int, seconds: float = 0.0) -> int:
    """Note in a file that this run begins, wait, and give the value back."""
    line = f"{flow_run.id} {value} {os.getpid()}\n".encode()
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line)
    os.close(file)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.05)
    print(f"ends with {value}", flush=True)  # also when its worker has gone
    return value


@flow
async def noted_async(path: str, value: int, seconds: float = 0.0) -> int:
    """As `noted`."""
    return noted.fn(path, value, seconds)


@flow
def hungry(megabytes: int):
    """Say so, then take memory until it is killed."""
    get_run_logger().info("takes memory")
    time.sleep(3)  # the log is sent every 2 s
    return len([np.ones(131_072) for _ in range(megabytes)])


@flow
def dies():
    os.kill(os.getpid(), signal.SIGKILL)


@flow(retries=2, retry_delay_seconds=0)
def flaky(path: str):
    """Fail twice, then return how often it was called."""
    with Path(path).open("a") as file:
        file.write("x")
    calls = Path(path).stat().st_size
    if calls < 3:
        raise RuntimeError(f"call {calls}")
    return double(calls)


@flow
def counted():
    """Count the run in a file beside the results, then take a while."""
    with (Path(os.environ["LUME_HOME"]) / "counted").open("a") as file:
        file.write("ran\n")
    time.sleep(5)
    return 21


@flow
def double_of(x: int):
    return 2 * x


COUNTED = {
    "name": "counted",
    "composing_flows": [
        {"name": "counted"},
        {"name": "double-of", "mapped_parameters": {"x": {"parent_flow_name": "counted"}}},
    ],
}


@flow
def once():
    """Count the run in a file beside the results."""
    with (Path(os.environ["LUME_HOME"]) / "once").open("a") as file:
        file.write("ran\n")
    return 1


@flow
def allowed(x: int):
    """Fail as long as a file is missing."""
    if not (Path(os.environ["LUME_HOME"]) / "allowed").exists():
        raise ValueError("not yet")
    return x + 1


RETRIED = {
    "name": "retried",
    "composing_flows": [
        {"name": "once"},
        {"name": "allowed", "mapped_parameters": {"x": {"parent_flow_name": "once"}}},
    ],
}
