"""pandas tables and scalars: taken apart, put together."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd

from lume_services.values.columns import dtype_of, dump_column, dump_time_zone, load_column, load_time_zone
from lume_services.values.parts import exactly, members
from lume_services.values.registry import Kind, add_kind

_NOTES = ("attrs", "unique_labels")


def _dump_frame(frame: pd.DataFrame) -> dict[str, Any]:
    bare = pd.DataFrame(frame) if frame.attrs else frame  # pandas copies the attrs into each column
    columns = [dump_column(column) for _, column in bare.items()]
    return {"index": frame.index, "columns": frame.columns, "data": columns, **_dump_notes(frame)}


def _load_frame(parts: Any) -> pd.DataFrame:
    parts, notes = _load_notes(parts)
    index, columns, data = members(parts, "index", "columns", "data")
    if len(exactly(data, list)) != len(_index(columns)):
        raise ValueError(f"it has {len(data)} columns and {len(columns)} names for them")
    series = [_series(column, _index(index)) for column in data]
    frame = pd.DataFrame(dict(enumerate(series)), index=_index(index))
    frame.columns = columns
    return cast("pd.DataFrame", _noted(frame, notes))


def _dump_series(series: pd.Series) -> dict[str, Any]:
    return {"index": series.index, "name": series.name, "data": dump_column(series), **_dump_notes(series)}


def _load_series(parts: Any) -> Any:
    parts, notes = _load_notes(parts)
    index, name, data = members(parts, "index", "name", "data")
    series = _series(data, _index(index))
    hash(name)
    return _noted(series.rename(name), notes)


def _dump_notes(table: pd.DataFrame | pd.Series) -> dict[str, Any]:
    """Return what is said of a table beside its data; most say nothing."""
    notes: dict[str, Any] = {"attrs": table.attrs} if table.attrs else {}
    return notes if table.flags.allows_duplicate_labels else {**notes, "unique_labels": True}


def _load_notes(parts: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    rest = dict(exactly(parts, dict))
    notes = {name: rest.pop(name) for name in _NOTES if name in rest}
    exactly(notes.get("attrs", {}), dict)
    if notes.get("unique_labels", True) is not True:
        raise ValueError("its unique_labels are not True")
    return rest, notes


def _noted(table: Any, notes: dict[str, Any]) -> Any:
    table.attrs = notes.get("attrs", {})
    return table.set_flags(allows_duplicate_labels=False) if "unique_labels" in notes else table


def _series(parts: Any, index: pd.Index) -> Any:
    values = load_column(parts, len(index))
    return pd.Series(values, index=index, dtype=dtype_of(values))


def _index(part: Any) -> pd.Index:
    if not isinstance(part, pd.Index):
        raise TypeError(f"expected an index, found {type(part).__name__}")
    return part


def _dump_timestamp(moment: pd.Timestamp) -> dict[str, Any]:
    return {"utc": moment.to_datetime64(), "zone": dump_time_zone(moment.tz)}


def _load_timestamp(parts: Any) -> pd.Timestamp:
    utc, name = members(parts, "utc", "zone")
    moment = pd.Timestamp(exactly(utc, np.datetime64))
    zone = load_time_zone(name)
    return moment if zone is None else moment.tz_localize("UTC").tz_convert(zone)


def _dump_timedelta(span: pd.Timedelta) -> np.timedelta64:
    return span.to_timedelta64()


def _load_timedelta(part: Any) -> Any:
    return pd.Timedelta(exactly(part, np.timedelta64))


for _kind in (
    Kind("pandas.DataFrame", pd.DataFrame, _dump_frame, _load_frame),
    Kind("pandas.Series", pd.Series, _dump_series, _load_series),
    Kind("pandas.Timestamp", pd.Timestamp, _dump_timestamp, _load_timestamp),
    Kind("pandas.Timedelta", pd.Timedelta, _dump_timedelta, _load_timedelta),
    Kind("pandas.NaT", type(pd.NaT), lambda _: None, lambda _: pd.NaT),
    Kind("pandas.NA", type(pd.NA), lambda _: None, lambda _: pd.NA),
):
    add_kind(_kind)
