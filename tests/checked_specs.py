"""A module of flows and specs of them, as the tests of the checks have them."""

import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lume_services.errors import SpecError
from lume_services.flows.check import check_spec

FLOWS = '''
"""Flows of the tests."""
from datetime import datetime
from typing import Annotated, Any

from prefect import flow, task
from pydantic import Field, SecretStr


@task
def double(x: int) -> int:
    return 2 * x


@task(name="save_text_file")
def save(text: str) -> dict:
    return {}


@flow
def make(n: int, label: str = "a") -> int:
    save(label)
    return double(n)


@flow
def use(value: int, scale: Annotated[float, Field(gt=0)] = 1.0, text: str = "") -> float:
    return value * scale


@flow
def bounded(x: int = Field(gt=0), y: int = Field(3, gt=0)) -> int:
    return x


@flow
def log(when: datetime, password: SecretStr, **more: Any) -> None:
    pass


def plain() -> None:
    pass


NOTHING = None
NUMBER = 1
'''

START = """\
name: demo
composing_flows:
  - name: make
    entrypoint: demo_flows:make
    parameters: {n: 1}
"""
USE = START + "  - name: use\n    entrypoint: demo_flows:use\n"


@contextmanager
def folder_with_flows(folder: Path) -> Iterator[Path]:
    """Work in a folder that has the module of the flows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("demo_flows.py").write_text(FLOWS)
        yield folder
    sys.modules.pop("demo_flows", None)


def check(text, **options):
    Path("spec.yaml").write_text(textwrap.dedent(text))
    return check_spec("spec.yaml", **options)


def problems_of(text, parameters=None, flows=()):
    with pytest.raises(SpecError) as caught:
        check(text, parameters=parameters, flows=flows)
    return [str(problem) for problem in caught.value.problems]


def feeding(parameter, mapping):
    return USE + f"    mapped_parameters:\n      {parameter}: {mapping}\n"
