"""What makes the run of a step the same as another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from prefect import flow

from lume_services.flows.code.code import Code
from lume_services.flows.runs.identity import Identity

CODE = Code("takes", None, "", {"beamline": "a"}, {"Python": "3.11"})

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@flow
def takes(value: Any, order: int = 2) -> Any:
    return value


@settings(deadline=None)
@given(value=VALUES)
def test_the_same_values_are_the_same_inputs(value):
    first, again = (Identity.of("step", takes, CODE, {"value": value}) for _ in range(2))
    assert first == again
    assert first.key == again.key
    given_default = Identity.of("step", takes, CODE, {"value": value, "order": 2})
    assert given_default.key == first.key


@settings(deadline=None)
@given(value=VALUES)
def test_whatever_is_different_is_another_step(value):
    key = Identity.of("step", takes, CODE, {"value": value}).key
    assert Identity.of("step", takes, CODE, {"value": [value]}).key != key
    assert Identity.of("step", takes, CODE, {"value": value, "order": 3}).key != key
    assert Identity.of("other", takes, CODE, {"value": value}).key != key
    assert Identity.of("step", takes, replace(CODE, modules={"beamline": "b"}), {"value": value}).key != key


def test_a_value_without_fingerprint_makes_no_key():
    found = Identity.of("step", takes, CODE, {"value": object()})
    assert (found.inputs, found.key) == (None, None)
    assert found.problem is not None
    assert found.problem.startswith("its parameter 'value' cannot be compared")


def test_code_that_is_not_certain_makes_no_key():
    found = Identity.of("step", takes, replace(CODE, problem="a.py:3: exec()"), {"value": 1})
    assert found.key is None
    assert found.problem == "its code is not certain: a.py:3: exec()"
