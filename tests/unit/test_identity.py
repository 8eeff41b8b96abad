"""What counts as the code of a flow, and that it is the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect import flow

from lume_services.flows.runs.identity import Identity, code_fingerprint

MAIN = """
    from dataclasses import dataclass, field
    from functools import wraps
    from prefect import flow, task
    from beamline import constants
    from beamline.optics import LENGTH, focus as focused
    from beamline.stars import *
    from pydantic import BaseModel
    from otherlab import gain

    OFFSET = 10
    SHIFTED = OFFSET + 1
    TABLE = {"a": 1}
    TABLE["b"] = 2
    try:
        import nothing_at_all
    except ImportError:
        FALLBACK = 3
    UNUSED = 99

    def twice(function):
        @wraps(function)
        def wrapped(*args):
            return 2 * function(*args)
        return wrapped

    def scaled(x, factor=4):
        return x * factor

    @twice
    def shifted(x):
        return x + SHIFTED

    class Base:
        def drift(self, x):
            return x + 5

    class Lattice(Base):
        order = 6

        @classmethod
        def make(cls):
            return cls()

        @property
        def twiss(self):
            return 7

        def track(self, x):
            return x + self.order + self.twiss

    @dataclass
    class Options:
        steps: int = 8

    class Beam(BaseModel):
        energy: float = 9

    def made(power):
        return lambda x: x ** power

    cubed = made(power=3)

    @task(retries=0)
    def tracked(x):
        return Lattice.make().track(x) + Options().steps

    def unused(x):
        return x

    if __name__ == "__main__":
        y = simulate(20)

    @flow
    def simulate(x: float, beam: Beam = None) -> float:
        \"\"\"Simulate.\"\"\"
        from beamline import lazy
        from beamline.later import load
        y = shifted(scaled(x)) + tracked(x) + TABLE["b"] + FALLBACK + cubed(x)
        from . import inner
        y += inner.kick(y) + starred(x) * STAR + beam.energy
        return lazy.go(y) + load() + focused(y) * LENGTH + constants.SPEED + gain(x)
"""
FILES = {
    "beamline/__init__.py": "",
    "beamline/main.py": MAIN,
    "beamline/constants.py": "SPEED = 12\nANOTHER = 13\n",
    "beamline/optics.py": "LENGTH = 14\n\ndef focus(x):\n    return x / 15\n",
    "beamline/lazy.py": "from beamline.deeper import depth\n\ndef go(x):\n    return x + depth()\n",
    "beamline/deeper.py": "def depth():\n    return 16\n",
    "beamline/later.py": "STATE = 17\n\ndef load():\n    return STATE\n",
    "beamline/stars.py": "STAR = 21\n\ndef starred(x):\n    return x + 22\n",
    "beamline/inner/__init__.py": "from .kicker import kick\n",
    "beamline/inner/kicker.py": "def kick(x):\n    return x + 23\n",
    "otherlab/__init__.py": "def gain(x):\n    return x * 18\n",
}


class Package:
    """The packages of a flow, which can be edited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(textwrap.dedent(text))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, old
        path.write_text(text.replace(old, new))

    def flow(self) -> Any:
        self.forget()
        return import_module("beamline.main").simulate

    def code(self) -> str:
        return code_fingerprint(self.flow())

    def forget(self) -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("beamline", "otherlab")]:
            del sys.modules[name]


@pytest.fixture
def package(tmp_path, monkeypatch) -> Iterator[Package]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    package = Package(tmp_path)
    yield package
    package.forget()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("main", "+ FALLBACK", "- FALLBACK"),
        ("main", "x: float", "x: int"),
        ("main", "OFFSET = 10", "OFFSET = 11"),
        ("main", "OFFSET + 1", "OFFSET + 2"),
        ("main", '{"a": 1}', '{"a": 2}'),
        ("main", 'TABLE["b"] = 2', 'TABLE["b"] = 3'),
        ("main", "FALLBACK = 3", "FALLBACK = 4"),
        ("main", "2 * function", "3 * function"),
        ("main", "factor=4", "factor=5"),
        ("main", "@twice\n", ""),
        ("main", "x + 5", "x + 6"),
        ("main", "order = 6", "order = 7"),
        ("main", "return 7", "return 8"),
        ("main", "return cls()", "return Lattice()"),
        ("main", "steps: int = 8", "steps: int = 9"),
        ("main", "power=3", "power=4"),
        ("main", "x ** power", "x ** (power + 1)"),
        ("constants", "SPEED = 12", "SPEED = 13"),
        ("optics", "LENGTH = 14", "LENGTH = 15"),
        ("optics", "x / 15", "x / 16"),
        ("lazy", "x + depth()", "x - depth()"),
        ("deeper", "return 16", "return 17"),
        ("later", "STATE = 17", "STATE = 18"),
        ("main", "energy: float = 9", "energy: float = 10"),
        ("stars", "STAR = 21", "STAR = 22"),
        ("stars", "x + 22", "x + 23"),
        ("inner/kicker", "x + 23", "x + 24"),
    ],
    ids=str,
)
def test_what_the_flow_comes_to_counts(package, file, old, new):
    before = package.code()
    package.edit(f"beamline/{file}.py", old, new)
    assert package.code() != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("beamline/main.py", "UNUSED = 99", "UNUSED = 100"),
        ("beamline/main.py", "def unused(x):\n    return x", "def unused(x):\n    return -x"),
        ("beamline/main.py", "return x + SHIFTED", "# more\n\n    return (x   +   SHIFTED)  # done"),
        ("beamline/main.py", "OFFSET = 10", "\n\n# ten\nOFFSET    = 10"),
        ("beamline/main.py", "retries=0", "retries=1"),
        ("beamline/main.py", "@flow\n", "@flow(log_prints=True)\n"),
        ("beamline/main.py", "y = simulate(20)", "y = simulate(21)"),
        ("beamline/constants.py", "ANOTHER = 13", "ANOTHER = 14"),
        ("otherlab/__init__.py", "x * 18", "x * 19"),
    ],
    ids=str,
)
def test_what_makes_no_difference_does_not_count(package, file, old, new):
    before = package.code()
    package.edit(file, old, new)
    assert package.code() == before


def test_the_version_counts_where_the_user_gives_one(package):
    found = package.flow()
    assert len({code_fingerprint(found.with_options(version=version)) for version in ("1", "2", None)}) == 3


def test_modules_may_have_been_loaded_or_not(package):
    before = package.code()
    lazy = ("beamline.lazy", "beamline.later", "beamline.inner")
    assert sys.modules.keys().isdisjoint(lazy)  # they were read only
    for name in lazy:
        import_module(name)
    assert code_fingerprint(sys.modules["beamline.main"].simulate) == before


def test_what_changes_as_the_flow_runs_is_no_code(package):
    before = package.code()
    main = sys.modules["beamline.main"]
    main.OFFSET, main.TABLE["b"] = 1000, 1000
    main.Lattice.order = 1000
    main.constants.SPEED = 1000
    assert code_fingerprint(main.simulate) == before


@pytest.mark.parametrize("seed", ["1", "2"])
def test_it_is_the_same_in_another_process(package, tmp_path, seed):
    program = (
        "import sys\n{}from beamline.main import simulate\nfrom lume_services.flows.runs.identity import "
    )
    program += "code_fingerprint\nprint(code_fingerprint(simulate))"
    first = "import beamline.lazy, beamline.constants\n" if seed == "1" else ""
    done = subprocess.run(
        [sys.executable, "-B", "-c", program.format(first)],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == package.code()


def test_it_is_the_same_with_every_python(package):
    """The syntax trees of Python 3.11 and 3.13 are written differently; CI runs both."""
    assert package.code() == "f505f40038ee51f59b1769a68aa0b80642a4de243d2c16e044299dfadeac2674"


def closure(constant: Any, function: Callable[[int], int] = abs) -> Any:
    @flow
    def enclosing(x: int = 0) -> Any:
        return constant, function(x)

    return enclosing


def test_enclosed_constants_count():
    codes = [code_fingerprint(closure(constant)) for constant in (1, 2, 1.0, True, "1", b"1", None, 1)]
    assert len(set(codes)) == 7
    assert codes[0] == codes[-1]


def test_enclosed_functions_count():
    found = [lambda x: x + 1, lambda x: x + 2, lambda x: x - 1]
    assert len({code_fingerprint(closure(0, function)) for function in found}) == 3


def test_enclosed_values_that_may_change_do_not():
    assert code_fingerprint(closure([1])) == code_fingerprint(closure([2]))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@flow
def takes(value: Any, order: int = 2) -> Any:
    return value


@settings(deadline=None)
@given(value=VALUES)
def test_the_same_values_are_the_same_inputs(value):
    first, again = (Identity.of("step", takes, "code", {"value": value}) for _ in range(2))
    assert first == again
    assert first.key == again.key
    given_default = Identity.of("step", takes, "code", {"value": value, "order": 2})
    assert given_default.key == first.key


@settings(deadline=None)
@given(value=VALUES)
def test_whatever_is_different_is_another_step(value):
    key = Identity.of("step", takes, "code", {"value": value}).key
    assert Identity.of("step", takes, "code", {"value": [value]}).key != key
    assert Identity.of("step", takes, "code", {"value": value, "order": 3}).key != key
    assert Identity.of("other", takes, "code", {"value": value}).key != key
    assert Identity.of("step", takes, "other", {"value": value}).key != key


def test_a_value_without_fingerprint_makes_no_key():
    found = Identity.of("step", takes, "code", {"value": object()})
    assert (found.inputs, found.key) == (None, None)
    assert found.problem is not None
    assert found.problem.startswith("its parameter 'value' cannot be compared")
