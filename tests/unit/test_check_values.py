"""Values of parameters, in the spec and for a run, against the signatures of the flows."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from prefect import flow
from pydantic import BaseModel, BeforeValidator, Field

from lume_services.errors import SpecError
from lume_services.flows.check import check_spec


class Corrector(BaseModel):
    name: str
    kick: float = Field(ge=-1, le=1)
    axis: Literal["x", "y"] = "x"


class Lattice(BaseModel):
    correctors: list[Corrector]
    made: datetime


@flow
def steer(
    lattice: Lattice,
    *,
    log: Path = Path("log"),
    response: np.ndarray | None = None,
    limits: dict[str, tuple[float, float]] | None = None,
    words: Annotated[list[str] | None, BeforeValidator(str.split)] = None,
    started: date | None = None,
) -> None:
    pass


@flow
def make(n: int) -> int:
    return n


@pytest.fixture
def check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def check(text, **options):
        Path("spec.yaml").write_text(text)
        return check_spec("spec.yaml", [steer, make], **options)

    return check


def problems_of(check, text, **options):
    with pytest.raises(SpecError) as caught:
        check(text, **options)
    return [str(problem) for problem in caught.value.problems]


STEER = """\
name: demo
composing_flows:
  - name: steer
    parameters:
      lattice: {correctors: [{name: c1, kick: 0.5}, {name: c2, kick: 2, axis: z}], made: today}
      log: 3
      response: [1, 2]
      limits: {c1: [0, 1], c2: [0]}
      words: [a, b]
      started: 2024-02-30
  - name: make
    parameters: {n: 1.5}
"""


PROBLEMS = """\
spec.yaml:5, step 'steer', parameter 'lattice': {'correctors': [{'kick': 0.5, 'name': 'c1'},
{'axis': 'z', 'kick': 2, 'name': 'c2'}], 'made': 'today'} does not fit Lattice: correctors.1.kick:
Input should be less than or equal to 1; correctors.1.axis: Input should be 'x' or 'y'; made: Input
should be a valid datetime or date, input is too short.

spec.yaml:6, step 'steer', parameter 'log': 3 does not fit Path: Input is not a valid path for
<class 'pathlib.Path'>.

spec.yaml:7, step 'steer', parameter 'response': [1, 2] does not fit ndarray | None: Input should be
an instance of ndarray.

spec.yaml:8, step 'steer', parameter 'limits': {'c1': [0, 1], 'c2': [0]} does not fit dict[str,
tuple[float, float]] | None: c2.1: Field required.

spec.yaml:9, step 'steer', parameter 'words': the value cannot be checked, as a validator raised
TypeError: descriptor 'split' for 'str' objects doesn't apply to a 'list' object. Give another
value, or correct the validator.

spec.yaml:10, step 'steer', parameter 'started': '2024-02-30' does not fit date | None: Input should
be a valid date or datetime, day value is outside expected range.

spec.yaml:12, step 'make', parameter 'n': 1.5 does not fit int: Input should be a valid integer, got
a number with a fractional part.
"""


def test_nested_values_are_checked_in_every_step_and_told_in_one_report(check):
    expected = [" ".join(paragraph.split()) for paragraph in PROBLEMS.split("\n\n")]
    found = [
        problem.replace("pathlib._local", "pathlib") for problem in problems_of(check, STEER)
    ]  # Python 3.13
    assert found == expected


def test_values_for_a_run_are_checked_as_those_of_the_spec(check):
    lattice = {"correctors": [{"name": "c1", "kick": "0.5"}], "made": "2024-05-06"}
    good = {"lattice": lattice, "log": "a/b", "words": "a b", "started": None, "limits": {"c1": (0, 1)}}
    assert check(STEER.replace("n: 1.5", "n: 1"), parameters={"steer": {**good, "response": np.zeros(2)}})
    problems = problems_of(
        check, STEER, parameters={"steer": {**good, "response": np.zeros(2)}, "make": {"n": []}}
    )
    assert [problem.partition(" does not fit ")[0] for problem in problems] == [
        "spec.yaml:12, step 'make', parameter 'n': []"
    ]
