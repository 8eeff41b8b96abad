"""Any filter on any documents has the same answer in all stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import servers_mongodb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies_query import DOCUMENTS, FILTERS, KEYS, KINDS, ORDERED, PATHS, SCALARS

from lume_services.config import build_context
from lume_services.errors import QueryError
from lume_services.services.results import ResultsDB
from lume_services.services.results.query.filter import compile_query
from lume_services.values import encode

SORTS = st.none() | st.lists(st.tuples(PATHS, st.sampled_from([1, -1])), min_size=1, max_size=2)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ResultsDB]]:
    """A store of each type; some paths have an index."""
    folder = tmp_path_factory.mktemp("stores")
    sections: list[dict[str, Any]] = [
        {"type": "file", "path": str(folder / "file")},
        {"type": "hdf5", "path": str(folder / "hdf5")},
        servers_mongodb.settings(),
    ]
    with ExitStack() as stack:
        opened = [build_context({"home": str(folder), "results_db": section}) for section in sections]
        stores = [stack.enter_context(context.results_db()) for context in opened]
        for store in stores:
            store.configure({"p": ["a", "a.b"]})
        yield stores


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    documents=st.lists(DOCUMENTS, min_size=1, max_size=6),
    questions=st.lists(st.tuples(FILTERS, SORTS), min_size=1, max_size=6),
)
def test_any_filter(
    stores: list[ResultsDB], documents: list[dict[str, Any]], questions: list[tuple[dict[str, Any], Any]]
) -> None:
    items = [{"n": n, **document} for n, document in enumerate(documents)]
    for store in stores:
        store.delete(collection="p", query={})
        store.insert_many(items, collection="p")
    for query, sort in questions:
        matches = compile_query(query).matches
        expected = {item["n"] for item in items if matches(encode(item))}
        answers = [
            [record["n"] for record in store.find(collection="p", query=query, sort=sort, fields=["n"])]
            for store in stores
        ]
        assert answers[0] == answers[1] == answers[2]
        assert set(answers[0]) == expected
        assert [store.count(collection="p", query=query) for store in stores] == [len(expected)] * 3


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(KINDS | SCALARS, min_size=1, max_size=6),
    nested=st.lists(st.dictionaries(KEYS, KINDS | SCALARS, max_size=3), max_size=3),
    operands=st.lists(KINDS | SCALARS, min_size=1, max_size=6),
    name=st.sampled_from(["$eq", "$ne", "$in", "$nin"]) | ORDERED,
    path=st.sampled_from(["a", "b", "a.b"]),
    descending=st.booleans(),
)
def test_any_kind_of_value(
    stores: list[ResultsDB],
    *,
    values: list[Any],
    nested: list[dict[str, Any]],
    operands: list[Any],
    name: str,
    path: str,
    descending: bool,
) -> None:
    documents = [{"a": value} for value in values] + [{"a": inner} for inner in nested]
    items = [{"n": n, **document} for n, document in enumerate(documents)]
    for store in stores:
        store.delete(collection="p", query={})
        store.insert_many(items, collection="p")
    sort = [(path, -1 if descending else 1)]
    for operand in operands:
        query = {path: {name: [operand] if name in ("$in", "$nin") else operand}}
        try:
            matches = compile_query(query).matches
        except QueryError:
            for store in stores:
                with pytest.raises(QueryError, match="no order"):
                    store.find(collection="p", query=query)
            continue
        expected = {item["n"] for item in items if matches(encode(item))}
        answers = [
            [record["n"] for record in store.find(collection="p", query=query, sort=sort, fields=["n"])]
            for store in stores
        ]
        assert answers[0] == answers[1] == answers[2]
        assert set(answers[0]) == expected
    for value in values:  # each finds itself
        [found] = {
            tuple(record["n"] for record in store.find(collection="p", query={"a": {"$eq": value}}))
            for store in stores
        }
        assert any(items[n]["a"] is value for n in found)
