"""Enumerations, pydantic models and registered types: to documents and back."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from enum import Enum, Flag, IntEnum, StrEnum
from typing import Generic, TypeVar

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator

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


def round_trip(value):
    return decode(loads(dumps(encode(value))))


@register_model
class Mode(Enum):
    FAST = "f"
    SLOW = "s"


class Level(IntEnum):
    LOW = 1


class Name(StrEnum):
    A = "a"


class Rights(Flag):
    READ = 1
    WRITE = 2


class Quadrupole(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    k: float = Field(alias="gradient")
    gradient: float = 0
    mode: Mode = Mode.FAST
    _private: int = 5
    _unset: int

    @field_validator("k")
    @classmethod
    def _double(cls, value):
        return 2 * value


class Lattice(BaseModel):
    quads: list[Quadrupole] = []
    value: object = None


class Numbers(RootModel):
    root: list[int]


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    content: T


@pytest.mark.parametrize(
    "member", [Mode.FAST, Level.LOW, Name.A, Rights.READ, Rights.READ | Rights.WRITE, Rights(0)]
)
def test_enumerations(member):
    for value in (member, [member], {"m": member}, {member: 1}):
        assert repr(round_trip(value)) == repr(value)
        assert round_trip(value) == value


def test_models_come_back_as_they_were_without_their_validators_run_again():
    quad = Quadrupole(gradient=1.5, remark="extra")
    assert quad.k == 3
    back = round_trip({"q": quad})["q"]
    assert back == quad
    assert type(back) is Quadrupole
    assert (back.k, back.gradient, back._private, back.model_extra) == (3, 1.5, 5, {"remark": "extra"})
    for model in (
        Lattice(quads=[quad, quad], value=(1, 2j)),
        Lattice(value={"$type": 1}),
        Numbers([1, 2]),
        Box[int](content=1),
    ):
        back = round_trip(model)
        assert back == model
        assert type(back) is type(model)
        assert fingerprint(back) == fingerprint(model)


def test_a_model_whose_class_has_changed():
    class Cavity(BaseModel):
        phase: float

    document = encode(Cavity(phase=1.0))

    class Cavity(BaseModel):
        phase: float
        voltage: float = 7.0

    register_model(Cavity)
    assert decode(document) == Cavity(phase=1.0, voltage=7.0)

    class Cavity(BaseModel):
        voltage: float

    register_model(Cavity)
    with pytest.raises(DecodeError, match=r"has changed since: missing \['voltage'\], unknown \['phase'\]"):
        decode(document)


class Magnet:
    def __init__(self, length, field):
        self.length = length
        self.field = field

    def __eq__(self, other):
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None


class Bend(Magnet):
    pass


CLASSES = {"Magnet": Magnet, "Bend": Bend}


@pytest.mark.parametrize(
    ("dump", "load"),
    [
        (vars, lambda parts: Magnet(**parts)),
        (lambda magnet: [magnet.length, magnet.field], lambda parts: Magnet(*parts)),
        (lambda magnet: {"value": vars(magnet)}, lambda parts: Magnet(**parts["value"])),
        (
            lambda magnet: {"$type": "x", **vars(magnet)},
            lambda parts: Magnet(parts["length"], parts["field"]),
        ),
        (lambda magnet: np.float64(magnet.length), lambda length: Magnet(length, 0.2)),
        (lambda magnet: {"value": np.float64(magnet.length)}, lambda parts: Magnet(parts["value"], 0.2)),
        (lambda magnet: {}, lambda parts: Magnet(0.1, 0.2)),
        (lambda magnet: str(magnet.length), lambda text: Magnet(float(text), 0.2)),
    ],
)
def test_registered_types_may_dump_whatever_can_be_stored(dump, load):
    register_type("tests.Magnet", Magnet, dump, load)
    magnet = Magnet(0.1, 0.2)
    for value in (magnet, [magnet], {"m": magnet}, (magnet, {"x": {1: magnet}})):
        assert round_trip(value) == value


def test_a_subclass_is_not_stored_as_its_base_unless_that_was_asked():
    register_type("tests.Magnet", Magnet, vars, lambda parts: Magnet(**parts))
    with pytest.raises(EncodeError, match="cannot store a Bend"):
        encode(Bend(1, 2))
    register_type(
        "tests.Magnet",
        Magnet,
        lambda magnet: {"class": type(magnet).__name__, **vars(magnet)},
        lambda parts: CLASSES[parts.pop("class")](**parts),
        subclasses=True,
    )
    assert round_trip([Bend(1, 2), Magnet(3, 4)]) == [Bend(1, 2), Magnet(3, 4)]
    register_type("tests.Magnet", Magnet, vars, lambda parts: Magnet(**parts))


def test_names_are_unique_and_not_those_of_built_in_types():
    register_type("tests.Bend", Bend, vars, lambda parts: Bend(**parts))
    with pytest.raises(ValueError, match=r"'tests\.Bend' belongs to .*Bend; register .*Magnet under another"):
        register_type("tests.Bend", Magnet, vars, lambda parts: Magnet(**parts))
    with pytest.raises(
        ValueError, match=r"belongs to pandas\.DataFrame|belongs to pandas.core.frame.DataFrame"
    ):
        register_type("pandas.DataFrame", Magnet, vars, lambda parts: Magnet(**parts))
    with pytest.raises(ValueError, match="'ndarray' has no dot"):
        register_type("ndarray", Magnet, vars, lambda parts: Magnet(**parts))
    with pytest.raises(TypeError, match="Use register_type"):
        register_model(Magnet)


def test_a_model_can_keep_its_name_when_its_class_moves():
    class Old(BaseModel):
        x: int

    register_model(Old, "mypackage.Thing")
    document = encode(Old(x=1))
    assert document == {"$type": "mypackage.Thing", "x": 1}


def run(program):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_process_loads_only_what_it_registered(tmp_path):
    (tmp_path / "beamline.py").write_text(
        "import sys\nsys.stdout.write('imported')\n"
        "from pydantic import BaseModel\nfrom lume_services.values import register_model\n"
        "@register_model\nclass Beam(BaseModel):\n    charge: float\n"
    )
    text = '{"$type":"beamline.Beam","charge":1.5}'
    load = f"from lume_services.values import decode, loads; print(decode(loads('{text}')))"
    alone = run(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {load}")
    assert "imported" not in alone.stdout
    assert "DecodeError: value: the type 'beamline.Beam' is not registered in this process." in alone.stderr
    assert "@register_model" in alone.stderr
    assert run(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import beamline; {load}").stdout == (
        "importedcharge=1.5\n"
    )
