"""What cannot be stored, and documents that the codec did not write: errors that name the place."""

from __future__ import annotations

import io
import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pytest
from pydantic import BaseModel

from lume_services.errors import DecodeError, EncodeError
from lume_services.values import (
    decode,
    dumps,
    encode,
    fingerprint,
    loads,
    register_model,
    register_type,
)
from lume_services.values.trail import MAX_DEPTH

NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001 - a moment without a time zone


def round_trip(value):
    return decode(loads(dumps(encode(value))))


class Mode(Enum):
    FAST = "f"


register_model(Mode)


class Lattice(BaseModel):
    value: object = None


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Setting:
    x: int


class Folder(type(Path())):
    pass


class Text(str):
    __slots__ = ()


def generator():
    yield 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (generator(), r"a generator; convert it to a list first: list\(value\)\."),
        (map(int, []), r"a map; convert it to a list first"),
        (range(3), r"a range; convert it to a list first"),
        ({}.items(), r"a dict_items; convert it to a list first"),
        (deque(), r"a deque; convert it to a list first"),
        (lambda: 1, r"a function; store what it returns, or its name"),
        (len, r"a builtin_function_or_method; store what it returns"),
        (dict, r"a class; store its name"),
        (math, r"a module; store its name"),
        (io.BytesIO(), r"a BytesIO; store its content, or its path"),
        (ValueError("x"), r"a ValueError; convert it to text first: str\(value\)"),
        (bytearray(), r"a bytearray; convert it to bytes first: bytes\(value\)"),
        (time(12), r"a time; convert it to text first: value\.isoformat\(\)"),
        (Decimal(1), r"a Decimal; convert it to text, str\(value\), or to a float"),
        (PurePosixPath("a"), r"a PurePosixPath; convert it to plain text first"),
        (Folder("a"), r"a Folder; convert it to plain text first"),
        (OrderedDict(), r"an OrderedDict; convert it to a dict first: dict\(value\)"),
        (Point(1, 2), r"a Point; convert it to a tuple or a dict first: tuple\(value\), value\._asdict\(\)"),
        (Setting(1), r"a Setting; convert it to a dict first, dataclasses\.asdict\(value\)"),
        (Text("x"), r"a Text; convert it to plain text first"),
        (object(), r"an object; convert it to plain values first, or register its class with register_type"),
        (np.rec.array([(1,)]), r"a recarray; convert it to a plain array first: numpy\.asarray\(value\)"),
        (np.ma.array([1]), r"a MaskedArray; .* value\.filled\(\) where it is masked"),
        (
            NAIVE,
            r"a datetime without a time zone; add one: value\.replace\(tzinfo=timezone\.utc\)",
        ),
        ("\ud800", r"this text: character 0 is a lone surrogate"),
        (
            np.array([1, "a"], object),
            r"this ndarray: its elements are Python objects\. Convert it with array\.tolist",
        ),
    ],
)
def test_what_cannot_be_stored_is_named_by_its_path_with_advice(value, message):
    with pytest.raises(EncodeError, match=r'outputs\["beam"\]\[3\]: cannot store ' + message) as caught:
        encode({"beam": [1, 2, 3, value]}, where="outputs")
    assert caught.value.where == 'outputs["beam"][3]'


def test_advice_for_packages_that_are_not_installed_here():
    Tensor = type("Tensor", (), {"__module__": "torch"})
    with pytest.raises(EncodeError, match=r"a Tensor; .*value\.detach\(\)\.cpu\(\)\.numpy\(\)"):
        encode(Tensor())


def test_paths_go_through_every_kind_of_container():
    bad = object()
    for value, path in (
        ({1: {"a": bad}}, r'value\[1\]\["a"\]'),
        ((1, [bad]), r"value\[1\]\[0\]"),
        ({("x", 2): bad}, r"value\[\('x', 2\)\]"),
        (Lattice(value={"deep": bad}), r'value\["value"\]\["deep"\]'),
    ):
        with pytest.raises(EncodeError, match=path + ": cannot store an object"):
            encode(value)
        with pytest.raises(EncodeError, match=path + ": cannot store an object"):
            fingerprint(value)


def test_an_error_of_a_dump_or_a_load_names_the_place():
    class Broken:
        pass

    def fail(_):
        raise KeyError("boom")

    register_type("tests.Broken", Broken, fail, fail)
    with pytest.raises(EncodeError, match=r"value\[0\]: cannot store this tests\.Broken: 'boom'"):
        encode([Broken()])
    with pytest.raises(DecodeError, match=r"value\[0\]: this is not a stored tests\.Broken: 'boom'"):
        decode([{"$type": "tests.Broken"}])


def test_depth_is_bounded_and_a_cycle_is_named():
    deep: object = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert round_trip(deep) == deep
    with pytest.raises(EncodeError, match=r"\[0\]: it is nested more than 200 levels deep"):
        encode([deep])
    cycle: list = [1]
    cycle.append({"again": cycle})
    with pytest.raises(EncodeError, match=r'value\[1\]\["again"\]: it contains itself'):
        encode(cycle)
    part = [1]
    assert encode([part, part]) == [[1], [1]]
    tuples: tuple = ()
    for _ in range(MAX_DEPTH // 2 - 1):
        tuples = (tuples,)
    assert round_trip(tuples) == tuples


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"$type": "nonsense"}, "the type 'nonsense' is not registered"),
        ({"$type": "os.system", "value": "true"}, "the type 'os.system' is not registered"),
        ({"$type": None}, "the type None is not registered"),
        ({"$type": ["ndarray"]}, r"the type \['ndarray'\] is not registered"),
        ({"a": 1, "$types": {"a": {}}}, "the type None is not registered"),
        ({"a": 1, "$types": [1]}, r"its \$types is damaged"),
        ({"a": 1, "$types": {"a": 7}}, r"its \$types is damaged"),
        ({"$type": "int", "value": "12x"}, "not a stored int"),
        ({"$type": "int", "value": 5}, "not a stored int"),
        ({"$type": "UUID", "value": "x"}, "not a stored UUID"),
        ({"$type": "set", "value": [[1]]}, "not a stored set"),
        ({"$type": "dict", "value": [1]}, "not a stored dict"),
        ({"$type": "complex", "real": 1.0, "imag": 1.0, "more": 1}, "not a stored complex"),
        ({"$type": "timedelta", "days": 10**12}, "not a stored timedelta"),
        ({"$type": "datetime", "value": 3, "microseconds": 1}, "not a stored datetime"),
        ({"$type": "bytes"}, "not a stored bytes"),
        ({"$type": "blob", "digest": 3, "nbytes": 1}, "has no digest"),
        ({"$type": f"{__name__}.Mode", "value": "FASTER"}, "not a stored"),
        ([NAIVE], "a document cannot hold this datetime"),
        ([{1, 2}], "a document cannot hold this set"),
        ({1: 2}, "the keys of a document are text"),
    ],
)
def test_a_document_that_the_codec_did_not_write_is_a_decode_error(document, message):
    with pytest.raises(DecodeError, match=message):
        decode({"outputs": [document]})
    with pytest.raises(DecodeError, match=r'record\["outputs"\]\[0\]'):
        decode({"outputs": [document]}, where="record")


def test_a_hostile_depth_is_refused():
    deep: object = 1
    for _ in range(MAX_DEPTH + 1):
        deep = {"$type": "tuple", "value": [deep]}
    with pytest.raises(DecodeError, match="nested more than 250 levels deep"):
        decode(deep)
