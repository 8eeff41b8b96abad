"""Types that can never fit a parameter, by pydantic's own rules."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, TypeVar

import numpy as np
import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from lume_services.files import TextFile
from lume_services.flows.compatible import never_fits
from lume_services.flows.signature import type_name


class Beam(BaseModel):
    energy: float


class FastBeam(Beam):
    pass


class Screen(BaseModel):
    beam: Beam


@dataclass
class Twiss:
    beta: float


class Options(TypedDict):
    points: int


class Colour(Enum):
    RED = "red"


class Plain:
    pass


class Derived(Plain):
    pass


Metre = NewType("Metre", float)
T = TypeVar("T")


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (int, str),
        (float, str),
        (bool, str),
        (str, list[str]),
        (str, dict),
        (dict, str),
        (dict, list),
        (list, dict),
        (list[int], float),
        (None, int),
        (int, None),
        (int | None, str),
        (int, str | list[int]),
        (dict, datetime),
        (float, Path),
        (int, Beam),
        (list, Beam),
        (Beam, Screen),
        (Beam, dict),
        (str, Twiss),
        (int, Options),
        (int, np.ndarray),
        (dict, np.ndarray),
        (np.ndarray, str),
        (np.ndarray, Plain),
        (Plain, str),
        (Literal[1, 2], str),
        (Metre, str),
        (int, Callable[[], int]),
        (str, TextFile),
    ],
)
def test_a_misfit_is_certain(given, wanted):
    assert never_fits(given, wanted)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (Any, str),
        (int, Any),
        (int, object),
        (object, int),
        (T, int),
        (int, T),
        ("Unresolved", int),
        (int, float),
        (float, int),
        (str, int),
        (int, bool),
        (str, Path),
        (str, datetime),
        (int, datetime),
        (None, int | None),
        (int | str, str),
        (list[int], tuple[float, ...]),
        (list[int], Sequence[float]),
        (set, list),
        (dict, Mapping[str, int]),
        (dict, Beam),
        (dict, Twiss),
        (dict, Options),
        (dict, TextFile),
        (FastBeam, Beam),
        (Beam, FastBeam),
        (int, Literal[1, 2]),
        (str, Colour),
        (int, Annotated[int, Field(ge=100)]),
        (str, Annotated[list[str], BeforeValidator(str.split)]),
        (Derived, Plain),
        (Plain, Derived),
        (np.ndarray, np.ndarray),
        (np.ndarray, float),
        (Plain, Iterable),
        (list[int], list[str]),
    ],
)
def test_what_may_fit_is_let_through(given, wanted):
    assert not never_fits(given, wanted)


VALUES = [
    None,
    True,
    3,
    2.0,
    "",
    "5",
    "red",
    b"x",
    {},
    {"energy": 1},
    {"beta": 1},
    [],
    [1],
    (2,),
    set(),
    Beam(energy=1),
]


@pytest.mark.parametrize(
    "wanted", [int, float, str, bool, bytes, dict, list, tuple, set, Beam, Twiss, Options, Path]
)
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_no_value_that_fits_is_of_a_type_that_never_does(value, wanted):
    config = None if wanted in (Beam, Twiss, Options) else ConfigDict(arbitrary_types_allowed=True)
    try:
        TypeAdapter(wanted, config=config).validate_python(value)
    except ValueError:
        return
    assert not never_fits(type(value), wanted)


def test_a_type_is_named_as_it_is_written():
    assert type_name(datetime) == "datetime"
    assert type_name(Annotated[int, Field(ge=1)] | None) == "int | None"
    assert type_name(list[int]) == "list[int]"
    assert type_name(Any) == "Any"
