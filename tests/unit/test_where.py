"""Queries in plain language become filters, and mistakes are pointed at."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lume_services.errors import QueryError
from lume_services.results import parse_where
from lume_services.services.results.query.filter import compile_query
from lume_services.values import encode

JANUARY = datetime(2024, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("outputs.emittance_x < 2e-6", {"outputs.emittance_x": {"$lt": 2e-6}}),
        ("a = 1", {"a": 1}),
        ("a == 1.0", {"a": 1.0}),
        ("a!=-1", {"a": {"$ne": -1}}),
        ("a<=+.5", {"a": {"$lte": 0.5}}),
        ("a>=1.", {"a": {"$gte": 1.0}}),
        ("a > -inf", {"a": {"$gt": -math.inf}}),
        ("quad = 'QE04'", {"quad": "QE04"}),
        ('quad = "it\'s"', {"quad": "it's"}),
        (r"quad = 'it\'s a \\'", {"quad": "it's a \\"}),
        ("a = true or a = None", {"$or": [{"a": True}, {"a": None}]}),
        (r"name ~ '^a\d+$'", {"name": {"$regex": r"^a\d+$"}}),
        ("a in [1, 'x', null]", {"a": {"$in": [1, "x", None]}}),
        ("a not in [1]", {"a": {"$nin": [1]}}),
        ("a exists", {"a": {"$exists": True}}),
        ("not a exists", {"$nor": [{"a": {"$exists": True}}]}),
        ("outputs.flag", {"outputs.flag": True}),
        ("not outputs.flag", {"$nor": [{"outputs.flag": True}]}),
        ("date_modified >= 2024-01-31", {"date_modified": {"$gte": JANUARY}}),
        ("t < 2024-01-31T12:30:00Z", {"t": {"$lt": JANUARY + timedelta(hours=12.5)}}),
        ("t = 2024-01-31T00:00:00-08:00", {"t": datetime(2024, 1, 31, tzinfo=timezone(timedelta(hours=-8)))}),
        ("a=1 and b=2 and c=3", {"$and": [{"a": 1}, {"b": 2}, {"c": 3}]}),
        ("a=1 or b=2 and c=3", {"$or": [{"a": 1}, {"$and": [{"b": 2}, {"c": 3}]}]}),
        ("(a=1 or b=2) and c=3", {"$and": [{"$or": [{"a": 1}, {"b": 2}]}, {"c": 3}]}),
        ("NOT (a=1 AND b IN [2])", {"$nor": [{"$and": [{"a": 1}, {"b": {"$in": [2]}}]}]}),
        ("not not a", {"$nor": [{"$nor": [{"a": True}]}]}),
        ("inputs.QUAD:LI20:X.VAL > 3", {"inputs.QUAD:LI20:X.VAL": {"$gt": 3}}),
        ("inputs.a-b/c$d = 1", {"inputs.a-b/c$d": 1}),
        ("inputs.`two words` = 1", {"inputs.two words": 1}),
        ("inputs.'X.VAL'.y = 1", {"inputs.X\\.VAL.y": 1}),
        ("'and' = 1", {"and": 1}),
        ("inputs.and = 1", {"inputs.and": 1}),
        (r"inputs.X\.VAL = 1", {r"inputs.X\.VAL": 1}),
        ("runs.0.x = 1", {"runs.0.x": 1}),
        ("é.ü = 1", {"é.ü": 1}),
        ("a\n =\t1", {"a": 1}),
    ],
)
def test_becomes_a_filter(text: str, query: dict[str, Any]) -> None:
    assert parse_where(text) == query
    compile_query(query)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 0, "expected a path"),
        ("a <", 3, "expected a value"),
        ("a = b", 4, "Put text in quotes: 'b'"),
        ("a = `b`", 4, "expected a value"),
        ("a = and", 4, "expected a value"),
        ("a = 'b", 4, "this quote is not closed"),
        ("a = 1 b = 2", 6, "expected `and`, `or` or the end"),
        ("a = 1 and", 9, "expected a path"),
        ("and a = 1", 0, "expected a path"),
        ("(a = 1", 6, "expected `)`"),
        ("a = 1)", 5, "expected `and`, `or` or the end"),
        ("a in 1", 5, "expected `[`"),
        ("a in []", 6, "expected a value"),
        ("a in [1 2]", 8, "expected `]`"),
        ("a not 1", 6, "expected `in`"),
        ("a ~ 3", 4, "expected a regular expression"),
        ("a = 2024-13-01", 4, "this is no date"),
        ("a..b = 1", 3, "empty part"),
        ("a. = 1", 1, "empty part"),
        ("a ; b", 2, "cannot read ';'"),
        ("5 > a", 0, "expected a path"),
        ("a = 1x", 4, "Put text in quotes: '1x'"),
        ("(" * 60 + "a" + ")" * 60, 50, "levels"),
    ],
)
def test_points_at_the_mistake(text: str, column: int, message: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_where(text)
    assert message in str(caught.value)
    assert caught.value.column == column
    lines = str(caught.value).splitlines()
    assert lines[-2:] == [f"  {text}".rstrip("\n"), "  " + " " * column + "^"]


WORDS = ["a", "b.c", "=", "<", "'x'", "1", "and", "or", "not", "(", ")", "[", "]", "in", ","]


@example("$")
@example("$a.b = 1")
@given(st.text(max_size=30) | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_is_a_filter_or_a_query_error(text: str) -> None:
    try:
        query = parse_where(text)
    except QueryError:
        return
    compile_query(query)


KEYS = st.text(st.characters(exclude_characters="`", exclude_categories=["Cs"]), min_size=1, max_size=5)
SCALARS = st.integers(-9, 9) | st.booleans() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.lists(KEYS, min_size=1, max_size=3), SCALARS)
def test_any_key_and_value_can_be_written(keys: list[str], value: Any) -> None:
    document: Any = value
    for key in reversed(keys):
        document = {key: document}
    path = ".".join(f"`{key}`" for key in keys)
    written = (
        "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" if isinstance(value, str) else str(value)
    )
    assert compile_query(parse_where(f"{path} = {written}")).matches(encode(document))
