"""Laws of filters, for any filter on any document; and the index keys that must never lose a match."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies_query import CONDITIONS, DATES, DOCUMENTS, FILTERS, NUMBERS, PATHS, SCALARS, TEXTS, VALUES

from lume_services.errors import QueryError
from lume_services.services.results.folder.index_keys import index_keys, index_spans
from lume_services.services.results.query.filter import compile_query
from lume_services.services.results.query.order import order_key
from lume_services.services.results.query.paths import Path
from lume_services.services.results.query.selection import Selection
from lume_services.values import encode


def matches(document: dict[str, Any], query: dict[str, Any]) -> bool:
    return compile_query(query).matches(encode(document))


@given(DOCUMENTS, FILTERS, FILTERS)
def test_logic(document: dict[str, Any], one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = matches(document, one), matches(document, other)
    assert matches(document, {"$and": [one, other]}) == (first and second)
    assert matches(document, {"$or": [one, other]}) == (first or second)
    assert matches(document, {"$nor": [one, other]}) == (not first and not second)


@given(DOCUMENTS, PATHS, CONDITIONS)
def test_not_is_the_complement(document: dict[str, Any], path: str, condition: dict[str, Any]) -> None:
    assert matches(document, {path: {"$not": condition}}) != matches(document, {path: condition})


@given(DOCUMENTS, PATHS, VALUES)
@example({"a": math.nan}, "a", math.nan)
@example({}, "a", None)
def test_comparisons_agree(document: dict[str, Any], path: str, value: Any) -> None:
    def holds(name: str, operand: Any = value) -> bool:
        return matches(document, {path: {name: operand}})

    equal = holds("$eq")
    assert holds("$ne") == (not equal)
    assert holds("$in", [value]) == equal
    assert holds("$nin", [value]) == (not equal)
    if isinstance(value, bytes):  # which have no order
        return
    assert holds("$gte") == (holds("$gt") or equal)
    assert holds("$lte") == (holds("$lt") or equal)


@given(DOCUMENTS, PATHS, st.lists(VALUES, max_size=4))
def test_in_is_any_of_them(document: dict[str, Any], path: str, values: list[Any]) -> None:
    assert matches(document, {path: {"$in": values}}) == any(matches(document, {path: v}) for v in values)


@given(st.lists(VALUES, min_size=2, max_size=2))
def test_comparison_is_the_order_within_a_type(values: list[Any]) -> None:
    left, right = (order_key(encode(value)) for value in values)
    document = {"a": {"b": values[0]}}
    is_list = isinstance(values[0], list)
    if isinstance(values[1], bytes):
        with pytest.raises(QueryError, match="no order"):
            matches(document, {"a.b": {"$lte": values[1]}})
    elif left[0] != right[0]:
        assert is_list or not matches(document, {"a.b": {"$lte": values[1]}})
    elif not is_list and not any(isinstance(value, float) and math.isnan(value) for value in values):
        assert matches(document, {"a.b": {"$lt": values[1]}}) == (left < right)
        assert matches(document, {"a.b": values[1]}) == (left == right)


def naive(document: dict[str, Any], path: str, name: str, operand: Any) -> bool:
    """What a comparison means where there are no lists and no dots in keys."""
    found: Any = document
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None

    def kind(value: Any) -> str:
        return "number" if type(value) in (int, float) else type(value).__name__

    if kind(found) != kind(operand):
        return False
    if found is None:
        return name in ("$eq", "$gte", "$lte")
    if kind(found) == "number" and (math.isnan(found) or math.isnan(operand)):
        return name in ("$eq", "$gte", "$lte") and math.isnan(found) and math.isnan(operand)
    return {
        "$eq": lambda: found == operand,
        "$gt": lambda: found > operand,
        "$gte": lambda: found >= operand,
        "$lt": lambda: found < operand,
        "$lte": lambda: found <= operand,
    }[name]()


PLAIN = st.none() | st.booleans() | NUMBERS | TEXTS | DATES


@given(
    st.dictionaries(st.sampled_from("ab"), PLAIN | st.dictionaries(st.sampled_from("ab"), PLAIN)),
    st.sampled_from(["a", "b", "a.b", "b.a"]),
    st.sampled_from(["$eq", "$gt", "$gte", "$lt", "$lte"]),
    PLAIN,
)
def test_a_naive_reading_agrees(document: dict[str, Any], path: str, name: str, operand: Any) -> None:
    assert matches(document, {path: {name: operand}}) == naive(document, path, name, operand)


@given(DOCUMENTS, PATHS)
def test_the_order_of_keys_does_not_matter(document: dict[str, Any], path: str) -> None:
    """MDB-9."""

    def turned(value: Any) -> Any:
        return {key: turned(value[key]) for key in reversed(value)} if isinstance(value, dict) else value

    assert order_key(encode(document)) == order_key(encode(turned(document)))
    assert matches({"d": document}, {"d": turned(document)})


@given(DOCUMENTS, FILTERS)
def test_an_index_never_loses_a_match(document: dict[str, Any], query: dict[str, Any]) -> None:
    compiled = compile_query(query)
    encoded: Any = encode(document)
    if compiled.matches(encoded):
        for path in map(Path, ["a", "b", "a.b", "a\\.b", "a.0"]):
            keys = index_keys(encoded, path)
            for bound in compiled.bounds.get(path.atoms, ()):
                spans = index_spans(bound)
                assert any(first <= key <= last for key in keys for first, last in spans)


@given(st.lists(SCALARS, min_size=2, max_size=2))
def test_index_keys_keep_the_order(values: list[Any]) -> None:
    [low, high] = sorted((encode(value) for value in values), key=order_key)
    [first], [last] = index_keys({"a": low}, Path("a")), index_keys({"a": high}, Path("a"))
    assert first <= last


@given(st.lists(st.fixed_dictionaries({"a": VALUES, "b": SCALARS}), max_size=8), st.sampled_from([1, -1]))
def test_sorting_is_in_order_and_stable(documents: list[dict[str, Any]], direction: int) -> None:
    selection = Selection.of(sort=[("a", direction), ("b", -direction)])
    found: list[Any] = [
        (tuple(key.of(document) for key in selection.sort), str(number))
        for number, document in enumerate(map(encode, documents))
    ]
    ordered = selection.in_order(list(found))
    keys = {record_id: key for key, record_id in found}
    firsts = [keys[record_id][0] for record_id in ordered]
    assert firsts == sorted(firsts, reverse=direction < 0)
    for one, other in pairwise(ordered):
        if keys[one][0] == keys[other][0]:
            seconds = keys[one][1], keys[other][1]
            assert seconds[0] <= seconds[1] if direction < 0 else seconds[0] >= seconds[1]
            if seconds[0] == seconds[1]:  # in the order of insertion, or the opposite
                assert (int(one) < int(other)) == (direction < 0)
