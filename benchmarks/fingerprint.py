"""The fingerprint against the raw hash of the same bytes, measured in the same run.

python benchmarks/fingerprint.py
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from lume_services.values import fingerprint

REPEATS = 9


def median_ms(function: Callable[[], object]) -> float:
    durations = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations) * 1e3


def compare(name: str, value: object, buffer: np.ndarray) -> None:
    raw = median_ms(lambda: hashlib.sha256(buffer).digest())
    ours = median_ms(lambda: fingerprint(value))
    print(f"{name:<28} {ours:10.3f} ms   sha256 of the buffer {raw:10.3f} ms   ratio {ours / raw:6.2f}")


def main() -> None:
    rng = np.random.default_rng(0)
    for count in (10**3, 10**6, 10**7):
        array = rng.random(count)
        compare(f"float64 array of {count:.0e}", array, array)
    table = rng.random((10, 10**5))
    frame = pd.DataFrame({f"column {number}": column for number, column in enumerate(table)})
    compare("DataFrame 1e5 x 10", frame, table)
    fortran = np.asfortranarray(rng.random((1000, 1000)))
    compare("Fortran order, 1000 x 1000", fortran, fortran.T)


if __name__ == "__main__":
    main()
