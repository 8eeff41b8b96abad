"""Classes and other types, as flows use them in their annotations."""

from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
from typing import Any, Generic, NamedTuple, NewType, NotRequired, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator, model_validator
from typing_extensions import TypeAliasType, TypedDict


class Beam(BaseModel):
    energy: float


class FastBeam(Beam):
    pass


class Screen(BaseModel):
    beam: Beam


class Spot(BaseModel):
    energy: list[float]
    note: str = ""


class Aliased(BaseModel):
    energy: list[float] = Field(alias="E")


class FromText(BaseModel):
    energy: float

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {"energy": data} if isinstance(data, str) else data


class FieldFromText(BaseModel):
    energy: list[float]

    @field_validator("energy", mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return [value] if isinstance(value, float) else value


class FromObject(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    beta: float


Numbers = RootModel[list[int]]

T = TypeVar("T")
Number = TypeVar("Number", int, float)
Bound = TypeVar("Bound", bound=int)


class Box(BaseModel, Generic[T]):
    content: T


@dataclass
class Twiss:
    beta: float
    tags: list[str] = field(default_factory=list)


class Options(TypedDict):
    points: int


class TextOptions(TypedDict):
    points: list[str]
    note: NotRequired[str]


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


class Mode(StrEnum):
    FAST = "fast"


class Loose(Enum):
    ONE = 1

    @classmethod
    def _missing_(cls, value: object) -> "Loose":
        return cls.ONE


class Plain:
    pass


class Derived(Plain):
    pass


class MyInt(int):
    pass


class MyFloat(float):
    pass


class HasName(Protocol):
    name: str


class OwnSchema:
    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        return handler(str)


Metre = NewType("Metre", float)
Names = TypeAliasType("Names", list[str])
Pair = TypeAliasType("Pair", tuple[T, T], type_params=(T,))
Tree = TypeAliasType("Tree", "dict[str, Tree] | int")
Forest = TypeAliasType("Forest", "dict[str, Forest] | list[Forest]")
