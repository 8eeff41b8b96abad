"""The flow whose runs are counted: importable, so that jobs can run it."""

from __future__ import annotations

import os
import time

import numpy as np
from prefect import flow
from prefect.runtime import flow_run

from lume_services.results import Result

COLLECTION = "chaos"


@flow
def measured(folder: str, value: int, seconds: float) -> int:
    """Note that the run begins, take a while, store a result, and note that the store has acknowledged it."""
    note(f"{folder}/begins", f"{flow_run.id} {value}")
    print(f"value {value}")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
    Result(
        project_name=COLLECTION,
        flow_id=str(flow_run.id),
        inputs={"value": value},
        outputs={"square": value**2, "profile": np.arange(value % 100, dtype=float)},
    ).insert()
    note(f"{folder}/stored", f"{flow_run.id} {value}")
    return 2 * value


def note(path: str, line: str) -> None:
    """Append a line, whole, whoever else appends at the same time."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, f"{line}\n".encode())
    os.close(file)
