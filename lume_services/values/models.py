"""pydantic models and enumerations: a kind for each class, made when it is first met."""

from __future__ import annotations

from enum import Enum, Flag
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from lume_services.values.parts import exactly
from lume_services.values.registry import Kind, add_family, full_name


def _dump_model(model: BaseModel) -> dict[str, Any]:
    fields = type(model).model_fields
    return {
        **{name: value for name, value in vars(model).items() if name in fields},
        **(model.model_extra or {}),
    }


def _model_kind(cls: type[Any]) -> Kind:
    def load(parts: Any) -> BaseModel:
        return _load_model(cls, parts)

    return Kind(full_name(cls), cls, _dump_model, load)


def _load_model(cls: type[BaseModel], parts: Any) -> BaseModel:
    """Return the model with the fields it had.

    They are not validated again, because a validator may change what it already changed once.
    """
    exactly(parts, dict)
    fields = cls.model_fields
    extra = {name: part for name, part in parts.items() if name not in fields}
    missing = [name for name, field in fields.items() if name not in parts and field.is_required()]
    if missing or (extra and cls.model_config.get("extra") != "allow"):
        raise ValueError(f"the class has changed since: missing {missing}, unknown {list(extra)}")
    values = {name: parts[name] for name in fields if name in parts}
    for name, field in fields.items():
        if name not in values:
            values[name] = field.get_default(call_default_factory=True, validated_data=values)
    model = cls.__new__(cls)
    model.__setstate__(
        {
            "__dict__": values,
            "__pydantic_extra__": extra if cls.model_config.get("extra") == "allow" else None,
            "__pydantic_fields_set__": set(parts),
            "__pydantic_private__": _private_defaults(cls),
        }
    )
    return model


def _private_defaults(cls: type[BaseModel]) -> dict[str, Any] | None:
    defaults = {name: field.get_default() for name, field in cls.__private_attributes__.items()}
    known = {name: value for name, value in defaults.items() if value is not PydanticUndefined}
    return known if defaults else None


def _enum_kind(cls: type[Any]) -> Kind:
    return Kind(full_name(cls), cls, lambda member: member.name, lambda name: cls[exactly(name, str)])


def _flag_kind(cls: type[Any]) -> Kind:
    return Kind(full_name(cls), cls, lambda member: member.value, lambda value: cls(exactly(value, int)))


add_family(BaseModel, _model_kind)
add_family(Enum, _enum_kind)
add_family(Flag, _flag_kind)
