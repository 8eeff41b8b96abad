"""The exact JSON text of documents."""

from __future__ import annotations

import json
import math
import struct
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lume_services.errors import DecodeError, EncodeError
from lume_services.values.document import dumps, loads
from lume_services.values.trail import MAX_DEPTH

texts = st.text(st.characters(exclude_categories=["Cs"]))
moments = st.datetimes(timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), texts, st.binary(), moments
)
keys = texts | st.sampled_from(["$float", "$datetime", "$bytes", "$dict", "$type", "$types", "a.b", ""])
documents = st.recursive(scalars, lambda parts: st.lists(parts) | st.dictionaries(keys, parts, max_size=4))

NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001 - a moment without a time zone


def same(left, right):
    """Compare bit by bit: NaN equals NaN, -0.0 differs from 0.0, 1 from 1.0 and from True."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or struct.pack("<d", left) == struct.pack("<d", right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return left == right


@given(documents)
def test_every_document_comes_back_exactly(document):
    text = dumps(document)
    assert same(loads(text), document)
    assert dumps(loads(text)) == text


@given(documents)
def test_the_text_is_one_line_of_standard_json(document):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    text = dumps(document)
    json.loads(text, parse_constant=refuse)
    assert "\n" not in text


def test_the_text_is_readable():
    document = {
        "y": 0.1,
        "gap": math.nan,
        "at": datetime(2024, 1, 31, 12, tzinfo=timezone(timedelta(hours=2))),
        "raw": b"\x00\xff",
        "odd": {"$bytes": "not bytes"},
    }
    assert dumps(document) == (
        '{"y":0.1,"gap":{"$float":"nan"},"at":{"$datetime":"2024-01-31T10:00:00.000+00:00"},'
        '"raw":{"$bytes":"AP8="},"odd":{"$dict":[["$bytes","not bytes"]]}}'
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"a": [1, {2, 3}]}, r'document\["a"\]\[1\]: a document cannot hold set'),
        ({"a": 2**63}, r'document\["a"\]: a document holds integers of 64 bits only'),
        ([NAIVE], r"document\[0\]: .* aware datetimes"),
        ([datetime(2024, 1, 1, microsecond=1, tzinfo=UTC)], "whole milliseconds"),
        ({1: 2}, r"document\[1\]: the keys of a document are text"),
    ],
)
def test_what_is_not_a_document_is_refused_by_its_place(document, message):
    with pytest.raises(EncodeError, match=message):
        dumps(document)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nul",
        "NaN",
        "[Infinity]",
        str(2**63),
        '{"$float":"1.5"}',
        '{"$float":[]}',
        '{"$datetime":"2024-01-31T10:00:00"}',
        '{"$datetime":"2024-01-31T10:00:00.000001+00:00"}',
        '{"$datetime":"yesterday"}',
        '{"$bytes":"%%%"}',
        '{"$bytes":7}',
        '{"$dict":[[1,2]]}',
        '{"$dict":7}',
        "[" * 100_000,
        "9" * 10_000,
    ],
)
def test_a_text_that_dumps_did_not_write_is_a_decode_error(text):
    with pytest.raises(DecodeError, match="is not a stored document"):
        loads(text)


def test_depth_is_bounded_and_a_cycle_is_named():
    deep: list = []
    for _ in range(2 * MAX_DEPTH):
        deep = [deep]
    with pytest.raises(EncodeError, match=r"\[0\]\[0\].*nested more than 250 levels deep"):
        dumps(deep)
    cycle: dict = {}
    cycle["again"] = [cycle]
    with pytest.raises(EncodeError, match=r'document\["again"\]\[0\]: it contains itself'):
        dumps(cycle)


def test_a_part_that_appears_twice_is_no_cycle():
    part = {"x": [1]}
    assert loads(dumps([part, part, [part]])) == [part, part, [part]]


def test_a_lone_surrogate_is_refused_and_a_pair_is_one_character():
    assert loads('["\\ud83d\\ude00", "\\\\ud800"]') == ["\U0001f600", "\\ud800"]
    for text in (
        '["\\ud800"]',
        '{"\\udc00": 1}',
        '["\\\\ud83d\\ude00"]',
        '[{"$datetime": "2024-01-31T00:00:00Z"}, "\\udfff"]',
    ):
        with pytest.raises(DecodeError, match="surrogates not allowed"):
            loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"$type": "blob", "digest": 3, "nbytes": 1}', "no digest or no length"),
        ('{"$type": "blob", "digest": "a"}', "no digest or no length"),
        ('{"$type": "blob", "digest": "a", "nbytes": -1}', "no digest or no length"),
        ('{"$type": "bytes", "value": 1}', "bytes are not there"),
        ('{"a": 1, "$types": [1]}', r"its \$types is damaged"),
        ('{"a": 1, "$types": {"a": 7}}', r"its \$types is damaged"),
    ],
)
def test_what_queries_and_statistics_look_into_is_whole(text, message):
    assert dumps(loads(text))
    with pytest.raises(DecodeError, match=message):
        loads(text, encoded=True)
