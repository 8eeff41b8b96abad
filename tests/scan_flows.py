"""Flows for the tests of scans; the worker processes import them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from prefect import flow, get_run_logger, task

from lume_services.files import TextFile
from lume_services.results import Result
from lume_services.tasks import load_file, save_db_result, save_file


@flow
def same(x: float) -> float:
    return x


@flow
def square(x: float) -> float:
    return x * x


@flow
def shift(y: float, by: float = 1.0) -> dict[str, Any]:
    if y > 1e6:
        raise ValueError(f"{y} is too large")
    return {"z": y + by, "parts": {"y": y, "by": by}}


@flow
def count(n: int, name: str = "none", on: bool = False) -> list[Any]:
    return [n, name, on]


@task
def double(value: float) -> float:
    return 2 * value


@task
def refuse(value: float, at: float) -> float:
    if value == at:
        raise RuntimeError(f"no {value}")
    return value


@flow
def with_tasks(x: float) -> float:
    get_run_logger().info("with tasks")
    futures = [double.submit(x), double.submit(x + 1)]
    return sum(future.result() for future in futures)


@flow
def gives_a_future(x: float) -> Any:
    return double.submit(x)


@flow
def gives_a_failed_future(x: float, at: float) -> Any:
    return refuse.submit(x, at)


@flow
async def asynchronous(x: float) -> float:
    await asyncio.sleep(0)
    return x + 0.5


@flow(retries=2)
def at_the_third_time(x: float, folder: str) -> float:
    tries = Path(folder, f"tries-{x}")
    with tries.open("a") as file:
        file.write(".")
    if tries.stat().st_size < 3:
        raise ValueError("not yet")
    return x


@flow(timeout_seconds=0.1)
def too_slow(x: float, at: float) -> float:
    time.sleep(0.5 if x == at else 0)
    return x


@flow
def saves(x: float) -> None:
    save_file(f"x is {x}", filename=f"{x}.txt", file_type=TextFile)
    save_db_result(Result(project_name="inner", inputs={"x": x}, outputs={"y": [x, 3 * x]}))


@flow
def loads(text: dict[str, Any], y: float) -> str:
    return f"{load_file(text)} {y}"


@flow
def image(n: int) -> np.ndarray:
    return np.full((n, 1000), float(n))


@flow
def cannot_be_stored(x: float, at: float) -> Any:
    return {"it": lambda: x} if x == at else x


@flow
def if_there(x: float, path: str) -> float:
    if x == 3 and not Path(path).exists():
        raise FileNotFoundError(path)
    return x


@flow
def noted(x: float, folder: str, seconds: float = 0.0) -> float:
    """Write a line for each call, and one with the process."""
    Path(folder, f"worker-{os.getpid()}").touch()
    with Path(folder, "calls").open("a") as file:
        file.write(f"{x}\n")
    time.sleep(seconds)
    return x


@task
def measure(folder: str) -> np.ndarray:
    with Path(folder, "calls").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return np.arange(4.0)


@flow
def background(folder: str, broken: bool = False) -> dict[str, Any]:
    found = measure(folder)
    if broken:
        raise ValueError("no light")
    return {"values": found, "where": [1]}


@flow
def subtract(x: float, values: np.ndarray, of_task: np.ndarray, where: list[int]) -> float:
    """Change what it is given, as functions do that are not careful."""
    values -= x
    of_task -= x
    where.append(2)
    return float(values.sum() + of_task.sum() + len(where))


@flow
def held(x: float, at: float, folder: str) -> float:
    """At one point, wait for a file `go`."""
    end = time.monotonic() + 120
    while x == at and not Path(folder, "go").exists() and time.monotonic() < end:
        time.sleep(0.05)
    return x


@flow
def kills_its_process(x: float, at: float) -> float:
    if x == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@flow
def leaves(x: float, at: float) -> float:
    if x == at:
        raise SystemExit(3)
    return x
