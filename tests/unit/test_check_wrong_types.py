"""Wrong types between steps: each kind is refused before anything runs, with what one needs to correct it."""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from lume_services.errors import SpecError
from lume_services.flows import FlowOfFlows

FLOWS = """
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypeVar, Union

import numpy as np
import pandas as pd
from prefect import flow, task
from pydantic import BaseModel, Field
from typing_extensions import TypedDict


class Beam(BaseModel):
    energy: float


class Screen(BaseModel):
    beam: Beam


@dataclass
class Twiss:
    beta: float


@dataclass
class Other:
    x: str


class Sizes(TypedDict):
    x: list[float]


class Counts(TypedDict):
    x: int


class Point(NamedTuple):
    x: float
    label: str


class Axis(Enum):
    X = "x"


Metre = NewType("Metre", float)
Number = TypeVar("Number", int, float)
Table = dict[str, list[float]]


def ran(name):
    with open("ran.txt", "a") as file:
        file.write(name)


@task
def measure() -> {returns}:
    ran("measure")
    return 1


@flow
{kind} produce() -> {returns}:
    ran("produce")
    {body}


@flow
def consume(value: {wanted}) -> None:
    ran("consume")
"""

SPEC = """\
name: demo
composing_flows:
  - name: produce
    entrypoint: typed_flows:produce
  - name: consume
    alias: last
    entrypoint: typed_flows:consume
    mapped_parameters:
      value:
        parent_flow_name: produce
"""


@pytest.fixture
def run(tmp_path, monkeypatch, lume_context):
    """Run a spec of two steps whose flows have these annotations; return what ran, and the problems."""
    monkeypatch.chdir(tmp_path)

    def run(returns, wanted, *mapping, kind="def", body="return measure()"):
        source = FLOWS
        for name, text in {"returns": returns, "wanted": wanted, "kind": kind, "body": body}.items():
            source = source.replace(f"{{{name}}}", text)
        Path("typed_flows.py").write_text(source)
        Path("spec.yaml").write_text(SPEC + "".join(f"        {line}\n" for line in mapping))
        problems = []
        try:
            FlowOfFlows.from_yaml("spec.yaml").run()
        except SpecError as error:
            problems = [str(problem) for problem in error.problems]
        return Path("ran.txt").read_text() if Path("ran.txt").exists() else "", problems

    yield run
    sys.modules.pop("typed_flows", None)


PLACE = "step 'last', parameter 'value'"
REMEDY = "Map another value, or change one of the two annotations."


class Kind(NamedTuple):
    """What a flow returns, what the parameter is; their names if others; the part that does not fit."""

    returns: str
    wanted: str
    found: str = ""
    expected: str = ""
    inside: str = ""


KINDS = {
    "a number for text": Kind("int", "str"),
    "nothing for text": Kind("None", "str"),
    "text for a list": Kind("str", "list[str]"),
    "a path for text": Kind("Path", "str"),
    "a date for a number": Kind("datetime", "float"),
    "no alternative": Kind("Optional[dict]", "Union[int, str]", "dict | None", "int | str"),
    "items": Kind("list[int]", "Sequence[str]", inside="each item is int, not str"),
    "values of a dict": Kind("dict[str, int]", "dict[str, str]", inside="each value is int, not str"),
    "nested": Kind(
        "list[Table]",
        "list[dict[str, list[str]]]",
        "list[dict[str, list[float]]]",
        inside="each item, each value, each item is float, not str",
    ),
    "length of a tuple": Kind("tuple[int, int]", "tuple[int, int, int]"),
    "item of a tuple": Kind("tuple[int, dict]", "tuple[int, str]", inside="item 1 is dict, not str"),
    "a number for a model": Kind("int", "Beam"),
    "another model": Kind("Screen", "Beam"),
    "field of a model": Kind("dict[str, list]", "Beam", inside="field 'energy' is list, not float"),
    "a dataclass for a dict": Kind("Twiss", "dict[str, Any]"),
    "field of a dataclass": Kind("Sizes", "Other", inside="field 'x' is list[float], not str"),
    "a TypedDict for a dict": Kind("Sizes", "dict[str, str]", inside="field 'x' is list[float], not str"),
    "another TypedDict": Kind("Sizes", "Counts", inside="field 'x' is list[float], not int"),
    "a NamedTuple for a dict": Kind("Point", "dict"),
    "another literal": Kind('Literal["x", "y"]', 'Literal["z"]', "Literal['x', 'y']", "Literal['z']"),
    "a number for an enumeration": Kind("float", "Axis"),
    "an enumeration for another literal": Kind("Axis", 'Literal["y"]', expected="Literal['y']"),
    "a list for an array": Kind("list[float]", "np.ndarray", expected="ndarray"),
    "an array for text": Kind("np.ndarray", "str", "ndarray"),
    "a table for an array": Kind("pd.DataFrame", "np.ndarray", "DataFrame", "ndarray"),
    "a new type": Kind("Metre", "str"),
    "a type variable": Kind("Number", "str"),
    "behind Annotated": Kind(
        "Annotated[int, Field(ge=0)]", "Annotated[str, Field(min_length=1)]", "int", "str"
    ),
    "a forward reference": Kind(
        '"list[Screen]"', '"list[Beam]"', "list[Screen]", "list[Beam]", "each item is Screen, not Beam"
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_type_is_refused_before_anything_runs(run, kind):
    kind = KINDS[kind]
    ran, problems = run(kind.returns, kind.wanted)
    found, expected = kind.found or kind.returns, kind.expected or kind.wanted
    inside = f": {kind.inside}" if kind.inside else ""
    told = f"the return value of 'produce' is {found}, which never fits the parameter's {expected}{inside}."
    assert problems == [f"spec.yaml:9, {PLACE}: {told} {REMEDY}"]
    assert ran == ""


@pytest.mark.parametrize(
    ("kind", "body", "returns", "found"),
    [
        ("async def", "return 1", "int", "int"),
        ("def", "return 1", "Awaitable[int]", "int"),
        ("def", "yield 1", "Iterator[int]", "list[int]"),
        ("async def", "yield 1", "AsyncIterator[int]", "list[int]"),
        ("def", "yield 1", "Any", "list"),
    ],
)
def test_the_type_is_that_of_what_a_run_gives(run, kind, body, returns, found):
    ran, (problem,) = run(returns, "str", kind=kind, body=body)
    assert f"the return value of 'produce' is {found}, which never fits the parameter's str." in problem
    assert ran == ""


TASK = "parent_task_name: measure"
# What is returned, how it is mapped, what the parameter is, and what is mapped as it is told.
MAPPED = {
    "a task": ("int", [TASK], "str", "the result of the task 'measure' of 'produce' is int"),
    "a task once or more": (
        "int",
        [TASK],
        "list[str]",
        "the result of the task 'measure' of 'produce' is int",
    ),
    "a part": (
        "Screen",
        ["attribute_index: [beam, energy]"],
        "str",
        "the return value of 'produce' at ['beam']['energy'] is float",
    ),
    "a file": (
        "dict",
        [TASK, "map_type: file"],
        "str",
        "the reference to the file of 'produce' is dict",
    ),
    "a stored result": (
        "dict",
        [TASK, "map_type: db", "attribute_index: [outputs]"],
        "str",
        "the stored result of 'produce' at ['outputs'] is dict[str, Any]",
    ),
}


@pytest.mark.parametrize("mapped", MAPPED)
def test_the_type_is_that_of_what_is_mapped(run, mapped):
    returns, lines, wanted, told = MAPPED[mapped]
    ran, problems = run(returns, wanted, *lines)
    assert problems == [f"spec.yaml:9, {PLACE}: {told}, which never fits the parameter's {wanted}. {REMEDY}"]
    assert ran == ""


@pytest.mark.parametrize(
    ("returns", "index", "told"),
    [
        ("Screen", "baem", "Screen has no 'baem'. Did you mean 'beam'? Choose one of: beam."),
        (
            "Screen",
            "beam, enrgy",
            "Beam at ['beam'] has no 'enrgy'. Did you mean 'energy'? Choose one of: energy.",
        ),
        ("tuple[int, str]", "2", "tuple[int, str] has no 2. It has positions 0 to 1."),
        ("int", "0", "int has no 0. It has nothing inside that could be chosen."),
    ],
)
def test_an_index_that_leads_nowhere(run, returns, index, told):
    ran, problems = run(returns, "Any", f"attribute_index: [{index}]")
    assert problems == [f"spec.yaml:11, {PLACE}: the return value of 'produce': {told}"]
    assert ran == ""


def test_what_is_no_reference_to_a_result(run):
    ran, problems = run("float", "Any", "map_type: db", "attribute_index: [outputs]")
    told = "the return value of 'produce' is float, but a reference to a result is a dict."
    assert problems == [f"spec.yaml:11, {PLACE}: {told} Map what save_db_result returns."]
    assert ran == ""


def test_types_that_fit_run(run):
    ran, problems = run("int | None", "str | int")
    assert (ran, problems) == ("producemeasureconsume", [])
