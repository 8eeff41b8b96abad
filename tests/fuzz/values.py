"""Honest values of every kind."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from enum import Enum, Flag
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from beamphysics import ParticleGroup
from numpy.dtypes import StringDType
from pydantic import BaseModel

from lume_services.files import HDF5File
from lume_services.values import register_model


@register_model
class Mode(Enum):
    FAST = "fast"
    SLOW = 2


@register_model
class Options(Flag):
    A = 1
    B = 2


@register_model
class Lattice(BaseModel):
    name: str = "line"
    elements: list[float] = []
    mode: Mode = Mode.FAST


def particles(count: int = 3) -> Any:
    """Return a beam."""
    names = ("x", "px", "y", "py", "z", "pz", "t", "status", "weight")
    return ParticleGroup(data={name: np.arange(float(count)) for name in names} | {"species": "electron"})


def columns() -> dict[str, Any]:
    """Return columns of every dtype of pandas that is stored."""
    return {
        "int": np.array([1, -2, 3], "i1"),
        "float": [1 / 3, np.nan, np.inf],
        "complex": [1j, 2, 3],
        "str": ["a", "β", None],
        "Int64": pd.array([1, None, 3], dtype="Int64"),
        "Float32": pd.array([1.5, None, 3], dtype="Float32"),
        "boolean": pd.array([True, None, False], dtype="boolean"),
        "string": pd.array(["a", None, ""], dtype="string"),
        "category": pd.Categorical(["a", None, "a"], categories=["b", "a"], ordered=True),
        "ns": np.array([1, 2, "NaT"], "M8[ns]"),
        "Berlin": pd.to_datetime([0, 1, None]).tz_localize("Europe/Berlin"),
        "timedelta": pd.to_timedelta([1, None, 3]),
        "period": pd.period_range("2024-01", periods=3, freq="M"),
        "interval": pd.interval_range(0.0, 3.0),
        "objects": pd.Series([1, "x", {"a": [(1, 2), None]}], dtype=object),
        "texts": pd.Series(["a", None, "c"], dtype=object),
    }


def VALUES() -> dict[str, Any]:
    """Return one value of every kind, by name."""
    frames = {
        f"column {name}": pd.DataFrame({"n": [1, 2, 3], name: column}) for name, column in columns().items()
    }
    indexes = {
        f"index {name}": pd.Series([1.0, 2.0, 3.0], index=pd.Index(column, name=name))
        for name, column in columns().items()
        if name != "objects"
    }
    record = np.dtype([("a", "<f8"), ("b", "<i4", (2,)), ("c", "<U3")], align=True)
    return {
        "plain": {"a": [1, 2.5, None, True, "text", b"bytes"], "b": {"c": []}},
        "numbers": [2**70, -(2**63), 1.5, float("nan"), 1 + 2j, np.float32(1.5), np.bool(True)],
        "long": np.longdouble(1) / 3,
        "containers": {"t": (1, (2,)), "s": {1, 2}, "f": frozenset({"a"}), "d": {1: "a", (1, 2): "b"}},
        "times": [
            datetime(2024, 1, 31, tzinfo=UTC),
            datetime(2024, 1, 31, 1, 2, 3, 456789, tzinfo=UTC),
            date(2024, 1, 31),
            timedelta(1, 2, 3),
            np.datetime64("2024-01-31", "us"),
            np.timedelta64(5, "h"),
            pd.Timestamp("2024-01-31", tz="Europe/Berlin"),
            pd.Timedelta("1h"),
            pd.NaT,
            pd.NA,
        ],
        "others": [uuid.UUID(int=7), Path("a/b"), Mode.SLOW, Options.A | Options.B, Lattice(elements=[1.0])],
        "arrays": [np.arange(6.0).reshape(2, 3), np.array(["a", "bcd"]), np.array([b"x"]), np.zeros((0, 3))],
        "number": np.array(1),
        "records": np.zeros(2, record),
        "strings": np.array(["a", "long " * 9], StringDType()),
        "missing strings": np.array(["a", None], StringDType(na_object=None)),
        "longdouble": np.array([1, 2], np.longdouble) / 3,
        "levels": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", None)])),
        "dates": pd.Series([1.0, 2.0], index=pd.date_range("2024-01-31", periods=2, freq="D")),
        "beam": particles(),
        "file": HDF5File(filename="a.h5"),
        **frames,
        **indexes,
    }  # fmt: skip
