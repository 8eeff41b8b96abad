"""Records that are deleted while others read them: left out, and never taken for damage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lume_services.errors import BlobCorruptError, ResultNotFoundError
from lume_services.services.results import ResultsDB

INSERT_AND_DELETE = """
import itertools, numpy as np
print("ready", flush=True)
for n in itertools.count():
    hashes = [f"{n}-{k}" for k in range(10)]
    items = [
        {"unique_hash": h, "n": n, "text": "x" * 300_000, "table": np.arange(9000.0) + n} for h in hashes
    ]
    store.insert_many(items, collection="p")
    store.delete(collection="p", query={"n": n})
"""


def test_find_beside_a_process_that_inserts_and_deletes(
    store: ResultsDB, start_process: Callable[..., Any]
) -> None:
    store.insert_many([{"keep": k, "array": np.arange(9000.0) + k} for k in range(3)], collection="p")
    others = [start_process(INSERT_AND_DELETE)]
    for process in others:
        assert process.stdout.readline() == "ready\n"
    seen = 0
    for turn in range(60):
        for sort in (None, "n"):
            found = list(store.find(collection="p", sort=sort if turn % 2 else None))  # raises nothing
            seen += len(found) > 3
            assert sorted(record["keep"] for record in found if "keep" in record) == [0, 1, 2]
        store.count(collection="p", query={"n": {"$gt": 0}})
        one = store.find_one(collection="p", query={"n": {"$gt": 0}})
        assert one is None or one["n"] > 0
    assert seen  # some of what came and went
    assert store.stats(collection="p").results >= 3
    for process in others:
        assert process.poll() is None
        process.kill()
        process.wait()
    store.delete(collection="p", query={"n": {"$exists": True}})
    assert store.reindex().damaged == {}
    assert store.count(collection="p") == 3


def test_a_stream_leaves_out_what_was_deleted_after_its_page_was_read(store: ResultsDB) -> None:
    store.insert_many([{"n": n, "array": np.full(9000, float(n))} for n in range(8)], collection="p")
    stream = store.find(collection="p")
    next(stream)
    store.delete(collection="p", query={"n": {"$in": [2, 5]}})
    assert [record["n"] for record in stream] == [1, 3, 4, 6, 7]


def test_an_array_of_a_record_that_was_deleted(store: ResultsDB) -> None:
    record_id = store.insert_one({"array": np.arange(400_000.0)}, collection="p")
    [record] = store.find(collection="p")
    store.delete(collection="p", query={})
    with pytest.raises(ResultNotFoundError, match="was deleted") as caught:
        record["array"].sum()
    assert record_id in str(caught.value)
    assert "backup" not in str(caught.value)
    assert not isinstance(caught.value, BlobCorruptError)
