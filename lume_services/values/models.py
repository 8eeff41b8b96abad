"""pydantic models and enumerations: a kind for each class, made when it is first met."""

from __future__ import annotations

from enum import Enum, Flag
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from lume_services.values.parts import exactly
from lume_services.values.registry import Kind, add_family, full_name

if TYPE_CHECKING:
    from lume_services.values.hashing import Hasher


PRIVATE = "$private"
FIELDS_SET = "$fields_set"
_COMPARED = frozenset({int, float, str, bool})


def _dump_model(model: BaseModel) -> dict[str, Any]:
    """Return fields, extra and private attributes, and which fields were set, where it was not all."""
    parts = _content(model)
    if model.model_fields_set != parts.keys() - {PRIVATE}:
        parts[FIELDS_SET] = sorted(model.model_fields_set)
    return parts


def _content(model: BaseModel) -> dict[str, Any]:
    """Return what pydantic compares: fields, extra and private attributes."""
    fields, found, extra = type(model).model_fields, vars(model), model.model_extra or {}
    missing = [name for name in fields if name not in found]
    if missing:
        raise ValueError(f"its fields {missing} have no value. Make it with its constructor.")
    if not extra.keys().isdisjoint({PRIVATE, FIELDS_SET}):
        raise ValueError(f"it has an extra attribute of the name {PRIVATE!r} or {FIELDS_SET!r}.")
    parts = {**{name: found[name] for name in fields}, **extra}
    if type(model).__private_attributes__:
        parts[PRIVATE] = dict(model.__pydantic_private__ or {})
    return parts


def _hash_model(model: BaseModel, hasher: Hasher) -> None:
    hasher.value(_content(model))


def _model_kind(cls: type[Any]) -> Kind:
    def load(parts: Any) -> BaseModel:
        return _load_model(cls, parts)

    return Kind(full_name(cls), cls, _dump_model, load, hash_into=_hash_model)


def _load_model(cls: type[BaseModel], parts: Any) -> BaseModel:
    """Return the model with the fields it had.

    They are not validated again, because a validator may change what it already changed once.
    """
    parts = dict(exactly(parts, dict))
    private = parts.pop(PRIVATE, None)
    fields_set = parts.pop(FIELDS_SET, list(parts))
    if not set(exactly(fields_set, list)) <= parts.keys():
        raise ValueError("it names other fields than its own as set")
    if private is None:
        private = _private_defaults(cls)
    elif not exactly(private, dict).keys() <= cls.__private_attributes__.keys():
        raise ValueError(f"the class has changed since: unknown {list(private)}")
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
            "__pydantic_fields_set__": set(fields_set),
            "__pydantic_private__": private,
        }
    )
    return model


def _private_defaults(cls: type[BaseModel]) -> dict[str, Any] | None:
    defaults = {name: field.get_default() for name, field in cls.__private_attributes__.items()}
    known = {name: value for name, value in defaults.items() if value is not PydanticUndefined}
    return known if defaults else None


def _enum_kind(cls: type[Any]) -> Kind:
    def dump(member: Any) -> Any:
        if cls.__members__.get(member.name) is not member:
            raise ValueError("it is no member of its class.")
        return _dump_member(member)

    def load(parts: Any) -> Any:
        return cls[exactly(parts["name"] if isinstance(parts, dict) else parts, str)]

    return Kind(full_name(cls), cls, dump, load, hash_into=_hash_member)


def _dump_member(member: Any) -> Any:
    """Return the name of a member, which identifies it, and its value where queries can compare that."""
    value = member.value
    return {"name": member.name, "value": value} if type(value) in _COMPARED else member.name


def _hash_member(member: Any, hasher: Hasher) -> None:
    hasher.value(member.name)


def _flag_kind(cls: type[Any]) -> Kind:
    return Kind(full_name(cls), cls, lambda member: member.value, lambda value: cls(exactly(value, int)))


add_family(BaseModel, _model_kind)
add_family(Enum, _enum_kind)
add_family(Flag, _flag_kind)
