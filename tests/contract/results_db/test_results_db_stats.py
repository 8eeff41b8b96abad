"""What a collection holds, without reading its arrays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from lume_services.services.results import ResultsDB, ResultsDBService

NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)


def test_stats(store: ResultsDB) -> None:
    table = pd.DataFrame({"x": np.arange(20_000.0), "y": -np.arange(20_000.0)})
    ids = store.insert_many(
        [
            {"n": 0, "date_modified": NOON, "scan": [{"image": np.zeros((100, 100))}, {"X.VAL": np.ones(3)}]},
            {"n": 1, "date_modified": NOON - timedelta(days=1), "table": table, "raw": b"x" * 100},
            {"n": 2, "nested": {"pair": (np.zeros(9000), 1)}},
        ],
        collection="p",
    )
    store.insert_one({"n": 3}, collection="q")
    stats = ResultsDBService(lambda: store).stats(collection="p")
    assert (stats.collection, stats.results, stats.damaged) == ("p", 3, 0)
    assert (stats.first, stats.last) == (NOON - timedelta(days=1), NOON)
    largest = [(part.record_id, part.path, part.nbytes) for part in stats.largest]
    assert largest == [
        (ids[1], "table", 320_018),  # with the names of its columns
        (ids[0], "scan.0.image", 80_000),
        (ids[2], "nested.pair", 72_000),
        (ids[1], "raw", 100),
        (ids[0], "scan.1.X.VAL", 24),
    ]
    assert 0 < stats.nbytes - sum(part.nbytes for part in stats.largest) < 4000


def test_nothing_has_no_dates(store: ResultsDB) -> None:
    stats = store.stats(collection="none")
    assert (stats.results, stats.nbytes, stats.first, stats.last, stats.largest) == (0, 0, None, None, ())
