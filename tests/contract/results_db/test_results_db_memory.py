"""A large array is stored without a copy of it, and a slice is read without the whole.

The array has 24 MB. Set LUME_TEST_ARRAY_MB=500 for one that is larger than most, which takes minutes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

MEGABYTES = int(os.environ.get("LUME_TEST_ARRAY_MB", "24"))

# The peak is that of the process, in units of the array, without what the imports and a first use take.
MEASURE = """
import json, resource
import numpy as np
[rows, work] = arguments
rows = int(rows)
store.insert_one({"warm": np.zeros(100_000)}, collection="warm")
[record] = store.find(collection="warm")
np.asarray(record["warm"])

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

if work == "insert":
    before = peak()
    image = np.arange(rows * 1000, dtype=np.float64).reshape(rows, 1000)
    store.insert_one({"outputs": {"image": image}}, collection="p")
else:
    before = peak()
    [record] = store.find(collection="p")
    image = record["outputs"]["image"]
    first = rows // 3
    part = image[first : first + 10]
    assert np.array_equal(part[:, 7], 1000.0 * np.arange(first, first + 10) + 7)
    if work == "whole":
        assert all(image[row, 3] == 1000.0 * row + 3 for row in (0, rows - 1))
        assert np.array_equal(np.asarray(image)[:, 7], 1000.0 * np.arange(rows) + 7)
print(json.dumps((peak() - before) / (rows * 8000)))
"""


def test_peak_memory(start_process: Callable[..., Any]) -> None:
    """MDB-11."""
    peaks = {}
    for work in ("insert", "slice", "whole"):
        process = start_process(MEASURE, MEGABYTES * 1_000_000 // 8000, work)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, work
        peaks[work] = json.loads(output)
    assert peaks["insert"] < 2.5
    assert peaks["slice"] < 1.5
    assert peaks["whole"] < 2.5
