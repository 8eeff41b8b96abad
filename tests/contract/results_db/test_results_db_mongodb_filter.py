"""What MongoDB is asked never leaves out a record that matches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import servers_mongodb as servers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lume_services.services.results.mongodb import MongodbResultsDB
from lume_services.services.results.query.filter import compile_query
from lume_services.values import encode

DAY = datetime(2024, 1, 1, tzinfo=UTC)
KEYS = ["a", "b", "a.b", "b.a", "a.b.a", ".", "a.", "0", "1", "$b", "%24b", "a.0", "é"]
PATHS = [*KEYS, "a.b.0", "a.0.b", "0.a", "b.a.b.a", r"a\.b", r"\$b", "date_modified", "a.é"]
SCALARS: list[Any] = [None, 0, 1, 1.5, -1, 2**53 + 1, float(2**53), float("nan"), float("inf"), True, False]
SCALARS += ["", "a", "b", "x" * 300, DAY, b"1", (1, "a"), {1}]

scalars = st.sampled_from(SCALARS)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
items = st.dictionaries(st.sampled_from(KEYS), values, max_size=4)
conditions = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$gt", "$gte", "$lt", "$lte"]), scalars | values),
    st.tuples(st.just("$in"), st.lists(scalars | values, max_size=3)),
)
queries = st.lists(st.tuples(st.sampled_from(PATHS), conditions), min_size=1, max_size=2)


@pytest.fixture(scope="module")
def store() -> Iterator[MongodbResultsDB]:
    arguments = {name: value for name, value in servers.settings().items() if name != "type"}
    with MongodbResultsDB(**arguments) as store:
        store.configure({"p": ["a", "a.b"]})
        yield store


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    documents=st.lists(items, min_size=1, max_size=6),
    parts=st.lists(queries, min_size=1, max_size=4),
)
def test_a_query_finds_what_the_matcher_finds(
    store: MongodbResultsDB,
    documents: list[dict[str, Any]],
    parts: list[list[tuple[str, tuple[str, Any]]]],
) -> None:
    store.delete(collection="p", query={})
    numbered = [{"n": n, **item} for n, item in enumerate(documents)]
    store.insert_many(numbered, collection="p")
    for part in parts:
        query = {"$and": [{path: {operator: operand}} for path, (operator, operand) in part]}
        try:
            matches = compile_query(query).matches
        except ValueError:
            continue  # an operand that has no order
        expected = [item["n"] for item in numbered if matches(encode(item))]
        found = store.find(collection="p", query=query, fields=["n"])
        assert [record["n"] for record in found] == expected, query
