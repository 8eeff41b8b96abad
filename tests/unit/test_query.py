"""Filters match as MongoDB's do, and what is not supported is refused with advice."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import numpy as np
import pytest

from lume_services.errors import EncodeError, QueryError
from lume_services.services.results.query.filter import compile_query
from lume_services.services.results.query.order import order_key, view
from lume_services.services.results.query.selection import Selection
from lume_services.values import encode
from lume_services.values.codec import TYPE


class Plane(Enum):
    X = "horizontal"


NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
NAN = float("nan")


def matches(document: dict[str, Any], query: dict[str, Any]) -> bool:
    return compile_query(query).matches(encode(document))


YES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # equality, also in and of lists
    ({"a": 1}, {}),
    ({"a": 1}, {"a": 1}),
    ({"a": 1}, {"a": 1.0}),
    ({"a": [1, 2]}, {"a": 1}),
    ({"a": [1, 2]}, {"a": [1, 2]}),
    ({"a": [[1, 2], 3]}, {"a": [1, 2]}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}),
    ({"a": {}}, {"a": {}}),
    ({"a": NOON}, {"a": NOON.astimezone(timezone(timedelta(hours=8)))}),
    ({"a": b"x"}, {"a": b"x"}),
    ({"a": NAN}, {"a": NAN}),
    ({"a": 2**53 + 1}, {"a": 2**53 + 1}),
    # null and missing
    ({"a": None}, {"a": None}),
    ({}, {"a": None}),
    ({"a": 5}, {"a.b": None}),
    ({"a": [{"b": 1}, {}]}, {"a.b": None}),
    ({"a": [1, None]}, {"a": None}),
    ({"a": None}, {"a": {"$gte": None}}),
    ({}, {"a": {"$lte": None}}),
    ({}, {"a": {"$in": [1, None]}}),
    # paths
    ({"a": {"b": {"c": 1}}}, {"a.b.c": 1}),
    ({"a": [{"b": 1}, {"b": 2}]}, {"a.b": 2}),
    ({"a": [{"b": [1, 2]}]}, {"a.b": 2}),
    ({"a": [5, 7]}, {"a.1": 7}),
    ({"a": [5, [2, 4]]}, {"a.1": [2, 4]}),
    ({"a": [5, {"1": 4}]}, {"a.1": 4}),
    ({"a": [5, {"b": 4}]}, {"a.1.b": 4}),
    ({"a": [5, [{"b": 4}]]}, {"a.1.b": 4}),
    ({"a": [5, [2, 4]]}, {"a.1.0": 2}),
    ({"a": {"0": 3}}, {"a.0": 3}),
    # comparisons
    ({"a": 3}, {"a": {"$gt": 2}}),
    ({"a": 3}, {"a": {"$gt": 2, "$lte": 3}}),
    ({"a": [1, 9]}, {"a": {"$gt": 5, "$lt": 3}}),  # by different elements
    ({"a": "b"}, {"a": {"$gt": "a"}}),
    ({"a": NOON}, {"a": {"$gt": NOON - timedelta(days=1)}}),
    ({"a": True}, {"a": {"$gt": False}}),
    ({"a": [3, 0]}, {"a": {"$gt": [2, 9]}}),
    ({"a": NAN}, {"a": {"$gte": NAN}}),
    ({"a": 2**53 + 1}, {"a": {"$gt": float(2**53)}}),
    # $ne, $in, $nin
    ({"a": 1}, {"a": {"$ne": 2}}),
    ({}, {"a": {"$ne": 2}}),
    ({"a": "1"}, {"a": {"$ne": 1}}),
    ({"a": 1}, {"a": {"$in": [1, "x"]}}),
    ({"a": [3, 1]}, {"a": {"$in": [1]}}),
    ({"a": [1, 2]}, {"a": {"$in": [[1, 2]]}}),
    ({"a": 3}, {"a": {"$nin": [1, 2]}}),
    ({}, {"a": {"$nin": [1]}}),
    # $exists, $size, $regex
    ({"a": None}, {"a": {"$exists": True}}),
    ({"a": []}, {"a": {"$exists": True}}),
    ({"a": [1]}, {"a.b": {"$exists": False}}),
    ({"a": [1, 2]}, {"a": {"$size": 2}}),
    ({"a": [{"b": []}]}, {"a.b": {"$size": 0}}),
    ({"a": [5, [2, 4]]}, {"a.1": {"$size": 2}}),
    ({"a": "QUAD:LI20"}, {"a": {"$regex": "^QUAD"}}),
    ({"a": ["x", "QUAD"]}, {"a": {"$regex": "quad", "$options": "i"}}),
    ({"a": "x\ny"}, {"a": {"$regex": "^y$", "$options": "m"}}),
    # logic
    ({"a": 1, "b": 2}, {"a": 1, "b": 2}),
    ({"a": 1}, {"$or": [{"a": 2}, {"a": 1}]}),
    ({"a": 1, "b": 2}, {"$and": [{"a": 1}, {"$nor": [{"b": 3}]}]}),
    ({"a": 1}, {"a": {"$not": {"$gt": 2}}}),
    ({}, {"a": {"$not": {"$gt": 2}}}),
    ({"a": "x"}, {"a": {"$not": {"$gt": 2}}}),
    ({"a": 9}, {"a": {"$not": {"$gt": 2, "$lt": 8}}}),
    ({"a": "x"}, {"a": {"$not": {"$regex": "y"}}}),
    # $elemMatch
    ({"a": [1, 5]}, {"a": {"$elemMatch": {"$gt": 4, "$lt": 6}}}),
    ({"a": [{"b": 1, "c": 2}]}, {"a": {"$elemMatch": {"b": 1, "c": 2}}}),
    ({"a": [{"b": 1}]}, {"a": {"$elemMatch": {"$or": [{"b": 1}, {"b": 2}]}}}),
    ({"a": [[7, 8]]}, {"a": {"$elemMatch": {"0": 7}}}),
    ({"a": [[1], [5]]}, {"a": {"$elemMatch": {"$elemMatch": {"$gt": 4}}}}),
    ({"a": [1, 5]}, {"a": {"$elemMatch": {"$not": {"$gt": 4}}}}),
    ({"a": [1, 5]}, {"a": {"$elemMatch": {"$nin": [1]}}}),
    ({"a": [{}]}, {"a": {"$elemMatch": {}}}),
    # what the codec stores with a kind
    ({"a": np.float64(1.5)}, {"a": {"$gt": 1}}),
    ({"a": [np.float32(1.5)]}, {"a": 1.5}),
    ({"a": 1.5}, {"a": np.float32(1.5)}),
    ({"a": (1, 2)}, {"a": 2}),
    ({"a": (1, 2)}, {"a": {"$size": 2}}),
    ({"a": Plane.X}, {"a": Plane.X}),
    ({"a": {"x": np.int64(1)}}, {"a": {"x": 1}}),
    ({"a": 3 + 4j}, {"a.imag": {"$gte": 4}}),
    ({"a": 3 + 4j}, {"a": 3 + 4j}),
    ({"a": np.zeros((2, 3))}, {"a.shape": [2, 3]}),
    ({"a": {"$type": "x", "b": 1}}, {"a": {"$eq": {"$type": "x", "b": 1}}}),
    # keys of any text (MDB-10)
    ({"a": {"QUAD:LI20:X.VAL": 1}}, {"a.QUAD:LI20:X.VAL": 1}),
    ({"a": {"X.VAL": {"b.c": 1}}}, {"a.X.VAL.b.c": 1}),
    ({"a": {"X": 0, "X.VAL": 1}}, {"a.X.VAL": 1}),
    ({"a": {"X": {"VAL": 1}}}, {"a.X.VAL": 1}),
    ({"a": {"X.VAL": 1}}, {"a.X\\.VAL": 1}),
    ({"a": {"back\\slash": 1}}, {"a.back\\\\slash": 1}),
    ({"a": {"back\\slash": 1}}, {"a.back\\slash": 1}),
    ({"a": {"": {"": 1}}}, {"a..": 1}),
    ({"a": {"$P:X": 1}}, {"a.$P:X": 1}),
    ({"$P": {"$X": 1}}, {"\\$P.$X": 1}),
    ({"a": {"$P:X": 1}}, {"a": {"$eq": {"$P:X": 1}}}),
    ({"a": {"X.VAL": 5}}, {"a": {"X.VAL": 5}}),
]

NO: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"a": True}, {"a": 1}),
    ({"a": 1}, {"a": True}),
    ({"a": "1"}, {"a": 1}),
    ({"a": [1, 2]}, {"a": [2, 1]}),
    ({"a": 2**53 + 1}, {"a": 2**53}),
    ({"a": {"b": 1}}, {"a": {"b": 1, "c": None}}),
    ({"a": [1, 2]}, {"a.b": None}),
    ({"a": []}, {"a.b": None}),
    ({"a": [5, [2, 4]]}, {"a.1": 2}),
    ({"a": [5]}, {"a.01": 5}),
    ({"a": 3}, {"a": {"$gt": "2"}}),
    ({"a": "3"}, {"a": {"$gt": 2}}),
    ({"a": True}, {"a": {"$gt": 0}}),
    ({"a": None}, {"a": {"$gt": None}}),
    ({"a": None}, {"a": {"$lt": 5}}),
    ({"a": NAN}, {"a": {"$lt": 5}}),
    ({"a": NAN}, {"a": {"$gt": NAN}}),
    ({"a": 5}, {"a": {"$lte": NAN}}),
    ({"a": [1, 2]}, {"a": {"$ne": 1}}),
    ({"a": [1, 2]}, {"a": {"$nin": [2]}}),
    ({}, {"a": {"$exists": True}}),
    ({"a": [{"b": 1}, {}]}, {"a.b": {"$exists": False}}),
    ({"a": 2}, {"a": {"$size": 1}}),
    ({"a": 2}, {"a": {"$regex": "2"}}),
    ({"a": 1}, {"a": {"$not": {"$lt": 2}}}),
    ({"a": 1}, {"$nor": [{"a": 1}]}),
    ({"a": [1, 9]}, {"a": {"$elemMatch": {"$gt": 5, "$lt": 3}}}),
    ({"a": [[5]]}, {"a": {"$elemMatch": {"$gt": 4}}}),
    ({"a": 5}, {"a": {"$elemMatch": {"$gt": 4}}}),
    ({"a": [{"b": 1}, {"c": 2}]}, {"a": {"$elemMatch": {"b": 1, "c": 2}}}),
    ({"a": 3 + 4j}, {"a": {"real": 3.0, "imag": 4.0}}),
    ({"a": {"X": {"VAL": 1}}}, {"a.X\\.VAL": 1}),
    ({"a": {"X": 0, "X.VAL": 1}}, {"a.X.VAL": None}),
    ({"a": "x"}, {"a": b"x"}),
]


@pytest.mark.parametrize(("document", "query"), YES)
def test_matches(document: dict[str, Any], query: dict[str, Any]) -> None:
    assert matches(document, query)


@pytest.mark.parametrize(("document", "query"), NO)
def test_does_not_match(document: dict[str, Any], query: dict[str, Any]) -> None:
    assert not matches(document, query)


def test_an_equal_array_matches_in_any_memory_layout() -> None:
    """RES-16, MDB-7, MDB-8."""
    image = np.arange(12.0).reshape(3, 4)
    for same in (np.asfortranarray(image), image.astype(">f8"), image[::-1][::-1]):
        assert matches({"image": image}, {"image": same})
        assert matches({"image": image}, {"image": {"$in": [1, same]}})
    for other in (image.T, image.astype("f4"), image + 1, image.ravel()):
        assert not matches({"image": image}, {"image": other})


def test_the_query_is_not_changed() -> None:
    """R-13: the predecessor left its own terms in the caller's dict."""
    query = {
        "a": {"$in": [1, [2, {"b": np.float64(1)}]]},
        "$or": [{"b": {"$not": {"$gt": 1}}}, {"c": {"d": 1}}],
    }
    before = copy.deepcopy(query)
    compile_query(query).matches({"a": 1})
    assert query == before


@pytest.mark.parametrize(
    ("query", "where", "message"),
    [
        ({"a": {"$gtt": 1}}, "query['a']", "'$gtt' is not supported. Did you mean '$gt'?"),
        ({"$ands": [{}]}, "query['$ands']", "Did you mean '$and'?"),
        ({"a": {"$mod": [2, 0]}}, "query['a']", "'$mod' is not supported"),
        ({"$where": "1"}, "query['$where']", "'$where' is not supported"),
        ({"$and": [{"a": 1}, {"b": {"$all": [1]}}]}, "query['$and'][1]['b']", "'$all' is not supported"),
        ({"a": {"$gt": 1, "b": 2}}, "query['a']", "'b' stands beside operators"),
        ({"a": {"$not": 1}}, "query['a']['$not']", "takes operators"),
        ({"a": {"$not": {}}}, "query['a']['$not']", "takes operators"),
        ({"a": {"$in": 1}}, "query['a']['$in']", "takes a list"),
        ({"a": {"$in": "abc"}}, "query['a']['$in']", "takes a list"),
        ({"a": {"$size": -1}}, "query['a']['$size']", "whole number"),
        ({"a": {"$size": True}}, "query['a']['$size']", "whole number"),
        ({"a": {"$exists": "yes"}}, "query['a']['$exists']", "true or false"),
        ({"a": {"$regex": "("}}, "query['a']['$regex']", "not a regular expression"),
        ({"a": {"$regex": "x", "$options": "q"}}, "query['a']['$regex']", "no option"),
        ({"a": {"$regex": 3}}, "query['a']['$regex']", "take text"),
        ({"a": {"$options": "i"}}, "query['a']", "needs a $regex"),
        ({"a": {"$elemMatch": 3}}, "query['a']['$elemMatch']", "takes a filter"),
        ({"a": {"$elemMatch": {"$gt": 1, "b": 2}}}, "query['a']['$elemMatch']", "stands beside"),
        ({"a": {"$gt": np.zeros(3)}}, "query['a']['$gt']", "has no order"),
        ({"$or": []}, "query['$or']", "at least one"),
        ({"$or": {"a": 1}}, "query['$or']", "at least one"),
        ({"$or": [1]}, "query['$or'][0]", "a filter is a mapping"),
        ({1: 2}, "query[1]", "a path is text"),
        ("a", "query", "a filter is a mapping"),
    ],
)
def test_what_is_not_supported_is_an_error(query: Any, where: str, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        compile_query(query)
    assert caught.value.where == where
    assert message in str(caught.value)


def test_a_value_that_cannot_be_stored_is_an_error() -> None:
    with pytest.raises(EncodeError, match=r"query\['a'\]\['\$gt'\]"):
        compile_query({"a": {"$gt": object()}})


def test_bounds_hold_for_every_match() -> None:
    query = compile_query({"$and": [{"_id": "x"}, {"a": {"$gt": 1}}], "b": {"$ne": 1}, "$or": [{"c": 1}]})
    assert query.texts("_id") == ["x"]
    assert query.texts("unique_hash") is None
    assert set(query.bounds) == {("_id",), ("a",)}


@pytest.mark.parametrize(
    "options",
    [
        {"sort": 5}, {"sort": [5]}, {"sort": {"a": 1}}, {"sort": [("a", 3)]}, {"sort": b"a"},
        {"fields": 5}, {"fields": "a"}, {"fields": [1]}, {"fields": b"a"},
        {"limit": "1"}, {"limit": -1}, {"limit": True}, {"skip": 1.5},
    ],
)  # fmt: skip
def test_options_of_a_query_that_are_none_are_errors_of_ours(options):
    with pytest.raises(QueryError):
        Selection.of({}, **options)


@pytest.mark.parametrize("kind", [[], {}, None, 3])
def test_a_damaged_kind_has_a_place_in_the_order(kind):
    """Whoever decodes it says that it is damaged; the others are found and sorted."""
    node = {TYPE: kind, "value": 1}
    assert order_key(node) == order_key(dict(node))
    assert view({"a": node}) == {"a": node}
