"""pandas tables and scalars: taken apart, put together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lume_services.values.columns import dtype_of, dump_column, dump_time_zone, load_column, load_time_zone
from lume_services.values.registry import Kind, add_kind


def _dump_frame(frame: pd.DataFrame) -> dict[str, Any]:
    columns = [dump_column(column) for _, column in frame.items()]
    return {"index": frame.index, "columns": frame.columns, "data": columns}


def _load_frame(parts: dict[str, Any]) -> pd.DataFrame:
    index, columns = parts["index"], parts["columns"]
    series = [_series(column, index) for column in parts["data"]]
    frame = pd.DataFrame(dict(enumerate(series)), index=index)
    frame.columns = columns
    return frame


def _dump_series(series: pd.Series) -> dict[str, Any]:
    return {"index": series.index, "name": series.name, "data": dump_column(series)}


def _load_series(parts: dict[str, Any]) -> Any:
    return _series(parts["data"], parts["index"]).rename(parts["name"])


def _series(parts: Any, index: pd.Index) -> Any:
    values = load_column(parts)
    return pd.Series(values, index=index, dtype=dtype_of(values))


def _dump_timestamp(moment: pd.Timestamp) -> dict[str, Any]:
    return {"utc": moment.to_datetime64(), "zone": dump_time_zone(moment.tz)}


def _load_timestamp(parts: dict[str, Any]) -> pd.Timestamp:
    moment = pd.Timestamp(parts["utc"])
    zone = load_time_zone(parts["zone"])
    return moment if zone is None else moment.tz_localize("UTC").tz_convert(zone)


def _dump_timedelta(span: pd.Timedelta) -> np.timedelta64:
    return span.to_timedelta64()


for _kind in (
    Kind("pandas.DataFrame", pd.DataFrame, _dump_frame, _load_frame),
    Kind("pandas.Series", pd.Series, _dump_series, _load_series),
    Kind("pandas.Timestamp", pd.Timestamp, _dump_timestamp, _load_timestamp),
    Kind("pandas.Timedelta", pd.Timedelta, _dump_timedelta, pd.Timedelta),
    Kind("pandas.NaT", type(pd.NaT), lambda _: None, lambda _: pd.NaT),
    Kind("pandas.NA", type(pd.NA), lambda _: None, lambda _: pd.NA),
):
    add_kind(_kind)
