"""Types that can never fit a parameter, by pydantic's own rules."""

import typing
from collections import OrderedDict, UserDict, UserList, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
)
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    PydanticUserError,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from types_of_values import (
    Aliased,
    Beam,
    Bound,
    Box,
    Colour,
    Derived,
    FastBeam,
    FieldFromText,
    Forest,
    FromObject,
    FromText,
    HasName,
    Level,
    Loose,
    Metre,
    Mode,
    MyFloat,
    MyInt,
    Names,
    Number,
    Numbers,
    Options,
    OwnSchema,
    Pair,
    Plain,
    Point,
    Screen,
    Spot,
    T,
    TextOptions,
    Tree,
    Twiss,
)
from typing_extensions import TypedDict

from lume_services.files import TextFile
from lume_services.flows.checks.annotations import type_hints, type_name
from lume_services.flows.checks.compatible import misfit

MISFITS = [
    # plain
    (int, str),
    (float, str),
    (bool, str),
    (None, str),
    (str, None),
    (None, int),
    (int, None),
    (complex, float),
    (str, dict),
    (dict, str),
    (dict, list),
    (list, dict),
    (set, dict),
    (bytes, list[int]),
    (str, list[str]),
    (str, Sequence[str]),
    (list[int], float),
    # numbers, dates, paths
    (datetime, str),
    (datetime, float),
    (timedelta, int),
    (dict, datetime),
    (float, Path),
    (Path, str),
    (Path, int),
    (Decimal, str),
    (int, UUID),
    (int, SecretStr),
    (str, Callable[[], int]),
    (int, type[int]),
    # alternatives
    (int | None, str),
    (int, str | list[int]),
    (float, str | bytes),
    (Literal[1, 2], str),
    (Literal["a"], Literal["b", "c"]),
    (Literal["a"], int),
    (list, Literal[1]),
    (Colour, list),
    (Colour, Literal["blue"]),
    (float, Colour),
    (dict, Level),
    (Literal["green"], Colour),
    # names for types
    (Metre, str),
    (Names, int),
    (list[list[int]], Names),
    (Pair[str], tuple[list, list]),
    (Number, str),
    (Bound, str),
    (Annotated[int, "metres"], str),
    (int, Annotated[str, Field(min_length=1)]),
    (list, PositiveInt),
    (int, Annotated[str, AfterValidator(str.upper)]),
    # containers
    (list[int], list[str]),
    (list[dict], set[str]),
    (tuple[int, ...], Sequence[str]),
    (list[list[int]], list[list[str]]),
    (dict[str, float], dict[str, str]),
    (dict[str, int], Mapping[str, list[int]]),
    (dict[str, int], dict[None, int]),
    (Mapping[str, int], list),
    (OrderedDict[str, int], dict[str, str]),
    (tuple[int, str], tuple[int, list]),
    (tuple[int, int], tuple[int, int, int]),
    (tuple[int, str], list[list]),
    (list[int], tuple[str, int]),
    (tuple[()], tuple[int]),
    (list[int | None], list[str]),
    (dict[str, list[int]], dict[str, list[str]]),
    # classes with fields
    (int, Beam),
    (list, Beam),
    (Beam, Screen),
    (Beam, dict),
    (Beam, str),
    (dict[str, dict], Spot),
    (dict[str, list[float]], Beam),
    (list[Beam], list[Screen]),
    (list[Beam], Beam),
    (Screen, Beam),
    (Options, TextOptions),
    (Options, dict[str, str]),
    (TextOptions, Options),
    (TypedDict("Energy", {"energy": dict}), Beam),
    (Twiss, dict),
    (Twiss, Beam),
    (str, Twiss),
    (dict[str, list], Twiss),
    (int, Options),
    (int, Point),
    (Point, dict),
    (Point, list[str]),
    (Point, tuple[str, str]),
    (Box[int], str),
    (str, TextFile),
    # classes without
    (int, np.ndarray),
    (list[float], np.ndarray),
    (dict, np.ndarray),
    (np.ndarray, str),
    (np.ndarray, dict),
    (np.ndarray, Beam),
    (np.ndarray, Plain),
    (np.float64, str),
    (pd.DataFrame, np.ndarray),
    (pd.DataFrame, dict),
    (pd.DataFrame, str),
    (dict, pd.DataFrame),
    (Plain, str),
    (Plain, float),
    (Plain, list),
    (Plain, Beam),
    (int, Plain),
    (type, str),
]


@pytest.mark.parametrize(("given", "wanted"), MISFITS, ids=str)
def test_a_misfit_is_certain(given, wanted):
    assert misfit(given, wanted)


MAY_FIT = [
    (Any, str),
    (int, Any),
    (int, object),
    (object, int),
    (T, int),
    (int, T),
    (ForwardRef("Unresolved"), int),
    (list[ForwardRef("Unresolved")], list[int]),
    (int, "Unresolved"),
    (Iterable[int], float),
    (HasName, str),
    (int, HasName),
    (list[Any], list[str]),
    (list, list[str]),
    (list[int | str], list[str]),
    (dict[str, Any], dict[str, int]),
    (dict, Beam),
    (str, Annotated[list[str], BeforeValidator(str.split)]),
    (int, Annotated[int, Field(ge=100)]),
    # What is annotated with a class may be of a subclass.
    (int, MyInt),
    (float, np.float64),
    (Beam, FastBeam),
    (Plain, Derived),
    (dict, OrderedDict),
    (Sequence[int], list[int]),
    # The user's validators may take anything.
    (str, FromText),
    (list, FromText),
    (dict[str, float], FieldFromText),
    (str, OwnSchema),
    (Twiss, FromObject),
    (list[int], Numbers),
    (dict[str, int], Aliased),
    (int, Loose),
    (str, Loose),
    (Box[int], Box[str]),
    (tuple[int, *tuple[str, ...]], list[int]),
    (Tree, Tree),
    (Tree, Forest),
    (Options, dict[str, Any]),
]


@pytest.mark.parametrize(("given", "wanted"), MAY_FIT, ids=str)
def test_what_may_fit_is_let_through(given, wanted):
    assert not misfit(given, wanted)


EXAMPLES = {
    None: [None],
    bool: [True],
    int: [0, 1, 2, MyInt(3)],
    float: [0.5, 1.0, np.float64(2.0), MyFloat(1.0)],
    complex: [1j, 1 + 0j],
    str: [
        "",
        "1",
        "1.5",
        "red",
        "fast",
        "2024-05-06",
        "P1D",
        "true",
        np.str_("a"),
        Mode.FAST,
        str(UUID(int=3)),
    ],
    bytes: [b"x", b"1", b"red"],
    bytearray: [bytearray(b"1")],
    datetime: [
        datetime.fromisoformat("2024-05-06"),
        datetime(2024, 5, 6, 7, tzinfo=UTC),
        pd.Timestamp(2024, 5, 6),
    ],
    date: [date(2024, 5, 6), datetime.fromisoformat("2024-05-06")],
    timedelta: [timedelta(1)],
    Decimal: [Decimal(1), Decimal("0.5")],
    Fraction: [Fraction(1), Fraction(1, 2)],
    UUID: [UUID(int=3)],
    Path: [Path("x")],
    dict[str, float]: [{"energy": 1.0}, {"beta": 1.0}, {"points": 1.0}, {"x": 1.0}],
    dict[str, Any]: [{"energy": 1}, {"beam": {"energy": 1}}, {"content": "a"}, {"points": []}],
    dict[int, str]: [{1: "1"}],
    Mapping[str, int]: [{"energy": 1}, UserDict({"energy": 1})],
    list[int]: [[1], [1, 2]],
    list[str]: [["1"], ["a", "b"]],
    tuple[int, ...]: [(1,), (1, 2)],
    tuple[int, str]: [(1, "2"), (1, "a")],
    set[int]: [{1}],
    frozenset[str]: [frozenset({"1"})],
    deque[float]: [deque([1.0, 2.0])],
    Sequence[int]: [[1], (1, 2), range(2), UserList([1])],
    Literal[1, "red"]: [1, "red"],
    Colour: [Colour.RED],
    Level: [Level.LOW],
    Mode: [Mode.FAST],
    Beam: [Beam(energy=1), FastBeam(energy=1)],
    Screen: [Screen(beam=Beam(energy=1))],
    Box[int]: [Box[int](content=1)],
    Twiss: [Twiss(1.0)],
    Options: [{"points": 1}],
    TextOptions: [{"points": ["a"]}],
    Point: [Point(1.0)],
    Plain: [Plain(), Derived()],
    np.ndarray: [np.array(1.0), np.array([1.0, 2.0]), np.array(["a"])],
    np.int64: [np.int64(1)],
    np.bool_: [np.bool_(True)],
    pd.Series: [pd.Series([1.0, 2.0])],
    pd.DataFrame: [pd.DataFrame({"a": [1]})],
    type: [int],
}
WANTED = [
    *EXAMPLES,
    *(
        list,
        tuple,
        set,
        dict,
        deque,
        OrderedDict,
        Iterable,
        Iterator,
        Callable,
        typing.Hashable,
        typing.Sized,
    ),
    *(
        list[float],
        list[Any],
        set[str],
        tuple[int, int],
        tuple[str, ...],
        dict[str, str],
        dict[str, int | None],
    ),
    *(int | None, str | list[int], PositiveInt, Annotated[str, Field(min_length=2)], SecretStr, Numbers),
    *(Literal[1], Literal["a", 2], Literal[Colour.RED], Loose, typing.SupportsFloat),
    *(Spot, Aliased, FromText, FieldFromText, FromObject, Box[str], OwnSchema, TextFile, FastBeam, Derived),
    *(Metre, Names, Pair[int], Tree, T, Number, Bound, object, Any, typing.Pattern, typing.Mapping[str, Any]),
]


@pytest.mark.parametrize("wanted", WANTED, ids=str)
@pytest.mark.filterwarnings("ignore::pydantic.warnings.UnsupportedFieldAttributeWarning")
def test_no_value_that_fits_is_of_a_type_that_never_does(wanted):
    try:
        adapter = TypeAdapter(wanted, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # it has a configuration of its own
        adapter = TypeAdapter(wanted)
    for given, values in EXAMPLES.items():
        why = misfit(given, wanted)
        for value in values if why else ():
            with pytest.raises((ValidationError, TypeError)):
                adapter.validate_python(value)


def test_a_misfit_names_the_part():
    def part(given, wanted):
        found = misfit(given, wanted)
        return *found.path, found.given, found.wanted

    assert part(int, str) == (int, str)
    assert part(list[int], list[str]) == ("each item", int, str)
    assert part(dict[str, list[int]], dict[str, list[str]]) == ("each value", "each item", int, str)
    assert part(tuple[int, int], tuple[int, str]) == ("item 1", int, str)
    assert part(list[Options], list[TextOptions]) == ("each item", "field 'points'", int, list[str])
    assert part(list[int] | None, list[str]) == (list[int] | None, list[str])


def test_an_annotation_that_cannot_be_resolved_spoils_no_other():
    def function(a: "Beam", b: "Unknown", c: "list[Unknown]", d: "1 / 0") -> "dict[str, Beam]":  # noqa: F821
        ...

    assert type_hints(function) == {"a": Beam, "return": dict[str, Beam]}


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (datetime, "datetime"),
        (Annotated[int, Field(ge=1)] | None, "int | None"),
        (list[int], "list[int]"),
        (dict[str, list[datetime]], "dict[str, list[datetime]]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Callable[[int], str], "Callable[[int], str]"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Sequence[Metre], "Sequence[Metre]"),
        (typing.Optional[Beam], "Beam | None"),  # noqa: UP045
        (Box[int], "Box[int]"),
        (Names, "Names"),
        (T, "T"),
        (Any, "Any"),
        (None, "None"),
    ],
)
def test_a_type_is_named_as_it_is_written(annotation, name):
    assert type_name(annotation) == name
