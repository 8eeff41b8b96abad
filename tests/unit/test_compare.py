"""What is said to be different between two values."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lume_services.values import fingerprint
from lume_services.values.compare import differences

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | st.floats(width=16) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (1.0, 1.5, ["value: 1.0 is 1.5 now"]),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, ["value['a'][1]['b']: 2 is 3 now"]),
        ({"a": 1}, {"b": 1}, ["value['a'] is gone", "value['b'] is new"]),
        ([1, 2], [1], ["value: [1, 2] is [1] now"]),
        ("a", 1, ["value: 'a' is 1 now"]),
        (True, 1, ["value: True is 1 now"]),
        (
            np.array([[1.0, 2.0]]),
            np.array([[1.0, 3.0]]),
            ["value: 1 of 2 elements differ, the first at [0, 1]: 2.0 is 3.0 now"],
        ),
        (np.zeros(2), np.zeros(3), ["value: an array 2 float64 is an array 3 float64 now"]),
        (
            pd.DataFrame({"x": [1, 2]}),
            pd.DataFrame({"x": [1, 9]}),
            ["value['x']: 1 of 2 elements differ, the first at [1]: 2 is 9 now"],
        ),
    ],
)
def test_each_difference_has_its_path(before, after, said):
    assert list(differences(before, after)) == said


@given(VALUES)
def test_a_value_is_the_same_as_itself(value):
    assert list(differences(value, value)) == []


@given(VALUES, VALUES)
def test_what_differs_in_its_fingerprint_differs(before, after):
    found = list(differences(before, after))
    if not found:  # numbers are compared by value, so 1 is 1.0
        assert fingerprint(_floats(before)) == fingerprint(_floats(after))


def _floats(value):
    if isinstance(value, dict):
        return {key: _floats(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [_floats(item) for item in value]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (math.nan if math.isnan(value) else float(value) + 0.0) if number else value


def test_tolerances_are_relative_to_what_was_before():
    assert list(differences(100.0, 101.0, rtol=0.0101)) == []
    assert list(differences(100.0, 101.0, rtol=0.0099)) != []
    assert (
        list(differences({"x": np.array([0.0, math.nan])}, {"x": np.array([1e-9, math.nan])}, atol=1e-8))
        == []
    )
    assert list(differences(math.nan, math.nan)) == []
