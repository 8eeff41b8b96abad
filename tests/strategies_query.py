"""Any document, and any filter of the operators that the stores know."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum, StrEnum
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
from hypothesis import strategies as st

DATES = st.sampled_from([datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)])
NUMBERS = (
    st.integers(-3, 3)
    | st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63 - 1])
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.sampled_from([0.0, -0.0, 1.0, 2.0, 0.5, float(2**53), math.nan])
)
TEXTS = st.sampled_from(["", "a", "b", "ab", "é", "x" * 70, "x" * 70 + "y"])
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS | DATES | st.sampled_from([b"", b"a", b"bb"])
KEYS = st.sampled_from(["a", "b", "a.b", "0", "1"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)
PATHS = st.sampled_from(["a", "b", "a.b", "a\\.b", "a.0", "b.a", "a.b.a", "0.a"])


class Level(IntEnum):
    """A member compares as its value."""

    low = 1
    high = 2


class Name(StrEnum):
    """A member compares as its value."""

    first = "a"
    second = "b"


MOMENTS = [
    datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(2024, 1, 1, 0, 0, 0, 999, tzinfo=UTC),
    date(2024, 1, 1),
    date(1, 1, 1),
    pd.Timestamp("2024-01-01T00:00:00"),
    pd.Timestamp("2024-01-01T00:00:00.000000001", tz="UTC"),
    pd.Timestamp("2024-01-01T01:00:00", tz="Europe/Zurich"),
    np.datetime64("2024-01-01"),
    np.datetime64("2024-01-01T00:00:00.000001", "us"),
    np.datetime64("1677-09-21T00:12:43.145224194", "ns"),
    np.datetime64("NaT"),
    pd.NaT,
]
EXACT_NUMBERS = [
    2**63,
    -(2**63) - 1,
    2**64,
    2**64 + 1,
    float(2**64),
    10**400,
    -(10**400),
    2**53 + 1,
    np.uint64(2**63 + 5),
    np.uint64(3),
    np.int8(-1),
    np.float16(0.5),
    np.float32(0.1),
    np.float64(math.nan),
    np.longdouble(1) / 3,
    np.longdouble(2),
    np.bool_(True),
    Level.low,
    Level.high,
]
OTHERS = [
    {1, 2},
    {"a", "b", "ab"},
    frozenset({1, 2}),
    (1, 2),
    {1: "a", 2: "b"},
    {2: "b", 1: "a"},
    1j,
    np.complex64(1j),
    Name.first,
    np.str_("a"),
    np.bytes_(b"a"),
    UUID(int=5),
    Path("/a"),
    pd.NA,
    timedelta(1),
    np.arange(3),
    np.arange(10_000),
    pd.DataFrame({"a": [1, 2]}),
]
KINDS = st.sampled_from([*MOMENTS, *EXACT_NUMBERS, *OTHERS])

COMPARISONS = st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"])
ORDERED = st.sampled_from(["$gt", "$gte", "$lt", "$lte"])
COMPARED = VALUES.filter(lambda value: not isinstance(value, bytes))
SIMPLE = (
    st.builds(lambda name, value: {name: value}, st.sampled_from(["$eq", "$ne"]), VALUES)
    | st.builds(lambda name, value: {name: value}, ORDERED, COMPARED)
    | st.builds(
        lambda name, values: {name: values}, st.sampled_from(["$in", "$nin"]), st.lists(VALUES, max_size=3)
    )
    | st.booleans().map(lambda flag: {"$exists": flag})
    | st.integers(0, 3).map(lambda size: {"$size": size})
    | st.sampled_from(["a", "^b", "b$", "^(a+)+$"]).map(lambda pattern: {"$regex": pattern})
)
CONDITIONS = st.recursive(
    SIMPLE,
    lambda inner: inner.map(lambda c: {"$not": c}) | inner.map(lambda c: {"$elemMatch": c}),
    max_leaves=3,
)
FILTERS = st.recursive(
    st.builds(lambda path, condition: {path: condition}, PATHS, CONDITIONS),
    lambda inner: st.builds(
        lambda name, parts: {name: parts},
        st.sampled_from(["$and", "$or", "$nor"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)
