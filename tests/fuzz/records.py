"""Honest records, as the stores keep them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from fuzz.values import VALUES
from lume_services.results import Result

NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)


def results() -> list[dict[str, Any]]:
    """Return the records of some results."""
    some = {
        "image": np.arange(12.0).reshape(3, 4),
        "table": pd.DataFrame({"x": [1.5, 2], "t": ["a", "b"]}),
        "n": 3,
    }
    found = [
        Result(
            project_name="p", flow_id="f", inputs={"x": value}, outputs=some, date_modified=NOON
        ).as_record()
        for value in VALUES().values()
    ]
    return [{**record, "_id": f"{number:032x}"} for number, record in enumerate(found)]


def plain_results() -> list[dict[str, Any]]:
    """Return the records of results that JSON keeps."""
    found = [
        Result(
            project_name="p",
            flow_id="f",
            inputs={"x": x},
            outputs={"y": [1, 2.5], "t": "é"},
            date_modified=NOON,
        )
        for x in (1, 2.5, "text", None, [1, {"a": []}])
    ]
    return [{**result.as_record(), "_id": f"{number:032x}"} for number, result in enumerate(found)]
