"""Works that do the same in several ways, timed in turns: all of them see the same machine."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from blake3 import blake3

Work = Callable[[int], Any]


def medians_ms(works: list[Work], repeats: int) -> list[float]:
    """Return the median time of each work; each is called with the numbers below `repeats`."""
    times: list[list[float]] = [[] for _ in works]
    for number in range(repeats):
        for turn in range(len(works)):
            at = (number + turn) % len(works)  # none is always the first
            start = time.perf_counter()
            works[at](number)
            times[at].append(1e3 * (time.perf_counter() - start))
    return [statistics.median(durations) for durations in times]


def heading(*names: str) -> None:
    ratios = [f"to {name}" for name in names]
    print(f"{'':<44}" + "".join(f"{name:>17}" for name in ("here", *names, *ratios, "here per s")))


def line(what: str, ours: float, *others: float) -> None:
    times = "".join(f"{time_ms:14.3f} ms" for time_ms in (ours, *others))
    ratios = "".join(f"{ours / other:16.2f}x" for other in others)
    print(f"{what:<44}{times}{ratios}{1e3 / ours:17.0f}")


def compare(what: str, repeats: int, *works: Work) -> None:
    """Print the medians of our work and of the others, and the ratios."""
    line(what, *medians_ms(list(works), repeats))


def scalars(number: int) -> dict[str, Any]:
    """Return a small result: 10 numbers."""
    return {"outputs": {f"x{k}": number + 0.1 * k for k in range(10)}, "unique_hash": f"{number:064x}"}


def digest(value: Any) -> bytes:
    """Return the digest of a value that a program would keep to verify it later, of the same kind as ours."""
    if isinstance(value, np.ndarray):
        return blake3(memoryview(np.ascontiguousarray(value)).cast("B")).digest()
    return hashlib.sha256(json.dumps(value).encode()).digest()
