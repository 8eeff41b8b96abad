"""The type of a part of a value: as far as types tell, what `select` finds."""

from collections import UserDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from lume_services.flows.checks.annotations import type_name
from lume_services.flows.checks.part import NoSuchPartError, types_at
from lume_services.results import Result
from lume_services.values.select import SelectionError, select


class Beam(BaseModel):
    energy: float
    sizes: Annotated[list[int], Field(min_length=1)] = [1]


class BunchedBeam(Beam):
    bunches: int = 2


@dataclass
class Twiss:
    beta: float
    beam: Beam | None = None


class Options(TypedDict):
    points: int
    beam: Beam


class Point(NamedTuple):
    x: float
    label: str


class Plain:
    charge = 1.0


class Ring:
    def __getitem__(self, position: int) -> str:
        return "abc"[position % 3]


EXAMPLES = {
    None: [None],
    int: [1],
    str: ["text"],
    bytes: [b"x"],
    datetime: [datetime.fromisoformat("2024-05-06")],
    Literal["a"]: ["a"],
    list: [[1], [{"energy": 1}]],
    list[Beam]: [[Beam(energy=1)]],
    tuple[int, Beam]: [(1, Beam(energy=1))],
    tuple[int, ...]: [(1, 2)],
    tuple: [(1,), Point(1.0, "a")],
    set[int]: [{0}],
    deque[int]: [deque([1])],
    Sequence[int]: [[1], (1,)],
    dict: [{"energy": 1}, {0: 1}],
    dict[str, list[int]]: [{"energy": [1]}],
    dict[int, str]: [{0: "a"}],
    dict[Literal["energy"], int]: [{"energy": 1}],
    Mapping[str, Any]: [{"points": 1}, UserDict({"points": 1})],
    Options: [{"points": 1, "beam": Beam(energy=1)}],
    Beam: [Beam(energy=1), BunchedBeam(energy=1)],
    BaseModel: [Beam(energy=1)],
    Twiss: [Twiss(1.0), Twiss(1.0, Beam(energy=1))],
    Twiss | None: [None, Twiss(1.0)],
    Point: [Point(1.0, "a")],
    Plain: [Plain()],
    Ring: [Ring()],
    Iterable[int]: [[1], range(2), np.array([1])],
    np.ndarray: [np.array([1, 2])],
    pd.DataFrame: [pd.DataFrame({"energy": [1.0], 0: [2.0]})],
    pd.Series: [pd.Series([1.0])],
    Result: [Result(inputs={"x": 1})],
    object: [{"energy": 1}],
    Any: [[1]],
}
INDICES = [
    *[
        [part]
        for part in ("energy", "bunches", "points", "beta", "x", "beam", "charge", "inputs", 0, 1, -1, 5)
    ],
    *[["beam", "energy"], [0, "energy"], [1, "energy"], ["energy", 0], ["sizes", 0], ["inputs", "x"]],
    *[["energy", "x"], ["sizes", "x"], [0, 0], ["beam", "x"], ["inputs", "x", 0]],
]


@pytest.mark.parametrize("given", EXAMPLES, ids=type_name)
@pytest.mark.parametrize("index", INDICES, ids=str)
def test_nothing_is_refused_that_can_be_selected(given, index):
    try:
        types_at([given], index)
    except NoSuchPartError:
        for value in EXAMPLES[given]:
            with pytest.raises(SelectionError):
                select(value, index, where="test")


def test_fields_of_every_kind_of_class_can_be_selected():
    value = {"twiss": Twiss(2.0, Beam(energy=3)), "point": Point(1.0, "a")}
    assert select(value, ["twiss", "beta"], where="test") == 2.0
    assert select(value, ["twiss", "beam", "energy"], where="test") == 3.0
    assert select(value, ["point", "label"], where="test") == select(value, ["point", 1], where="test") == "a"
    with pytest.raises(SelectionError, match=r"the Twiss at \['twiss'\] has no 'bta'. Did you mean 'beta'"):
        select(value, ["twiss", "bta"], where="test")


@pytest.mark.parametrize(
    ("given", "index", "expected"),
    [
        (Beam, ["energy"], "float"),
        (Beam, ["sizes", 0], "int"),
        (Beam, ["bunches"], "int"),  # of a subclass
        (Twiss, ["beam"], "Beam | None"),
        (Twiss, ["beam", "energy"], "float"),
        (Options, ["beam", "energy"], "float"),
        (Point, ["label"], "str"),
        (Point, [1], "str"),
        (Point, [-2], "float"),
        (tuple[int, Beam], [1, "energy"], "float"),
        (tuple[int, ...], [7], "int"),
        (list[list[str]], [0, 0], "str"),
        (Sequence[Beam], [-1, "energy"], "float"),
        (dict[str, list[int]], ["any", 3], "int"),
        (Mapping[str, Twiss], ["a", "beta"], "float"),
        (dict[int, str], [3], "str"),
        (list[int] | dict[str, float], ["a"], "float"),
        (Result, ["id"], "str | None"),
        (Result, ["outputs", "y", 0], "Any"),
        (np.ndarray, [0, 1], "Any"),
        (pd.DataFrame, ["a"], "Any"),
        (Any, ["a", 0], "Any"),
    ],
)
def test_the_type_of_a_part(given, index, expected):
    assert " | ".join(map(type_name, types_at([given], index))) == expected


@pytest.mark.parametrize(
    ("given", "index", "expected"),
    [
        (Beam, ["enrgy"], "Beam has no 'enrgy'. Did you mean 'energy'? Choose one of: energy, sizes."),
        (Beam, [0], "Beam has no 0. Choose one of: energy, sizes."),
        (
            Beam,
            ["energy", "x"],
            "float at ['energy'] has no 'x'. It has nothing inside that could be chosen.",
        ),
        (Twiss, ["bta"], "Twiss has no 'bta'. Did you mean 'beta'? Choose one of: beam, beta."),
        (Options, ["point"], "Options has no 'point'. Did you mean 'points'? Choose one of: beam, points."),
        (Point, ["y"], "Point has no 'y'. Choose one of: label, x."),
        (Point, [2], "Point has no 2. It has positions 0 to 1."),
        (tuple[int, str], [-3], "tuple[int, str] has no -3. It has positions 0 to 1."),
        (tuple[()], [0], "tuple has no 0. It is empty."),
        (list[int], ["a"], "list[int] has no 'a'. It has positions: 0, 1, …"),
        (np.ndarray, ["a"], "ndarray has no 'a'. It has positions: 0, 1, …"),
        (dict[str, int], [0], "dict[str, int] has no 0. Its keys are str."),
        (dict[Literal["a"], int], ["c"], "dict[Literal['a'], int] has no 'c'. Its keys are Literal['a']."),
        (str, [0], "str has no 0. It has nothing inside that could be chosen."),
        (set[int], [0], "set[int] has no 0. It has nothing inside that could be chosen."),
        (None | Point, ["y"], "None | Point has no 'y'. Choose one of: label, x."),
        (Plain, ["charge"], "Plain has no 'charge'. It has nothing inside that could be chosen."),
    ],
)
def test_a_part_that_is_not_there_is_told_with_what_is(given, index, expected):
    with pytest.raises(NoSuchPartError) as caught:
        types_at([given], index)
    assert str(caught.value) == expected
