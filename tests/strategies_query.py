"""Any document, and any filter of the operators that the stores know."""

from __future__ import annotations

import math
from datetime import UTC, datetime

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

COMPARISONS = st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"])
SIMPLE = (
    st.builds(lambda name, value: {name: value}, COMPARISONS, VALUES)
    | st.builds(
        lambda name, values: {name: values}, st.sampled_from(["$in", "$nin"]), st.lists(VALUES, max_size=3)
    )
    | st.booleans().map(lambda flag: {"$exists": flag})
    | st.integers(0, 3).map(lambda size: {"$size": size})
    | st.sampled_from(["a", "^b", "b$"]).map(lambda pattern: {"$regex": pattern})
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
