"""The classes of results that this process knows, by the name that is stored with each result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lume_services.errors import ResultTypeNotRegistered, choose_from

if TYPE_CHECKING:
    from lume_services.results.result import Result

_types: dict[str, type[Result]] = {}


def type_string(cls: type[Result]) -> str:
    """Return the name of a class of results: `package.module:Class`."""
    return f"{cls.__module__}:{cls.__qualname__}"


def register_result_type(cls: type[Result]) -> None:
    """Make a class known; its definition does so by itself."""
    _types[type_string(cls)] = cls


def get_result_types() -> dict[str, type[Result]]:
    """Return the known classes of results by name."""
    return dict(_types)


def get_result_from_string(result_type_string: str) -> type[Result]:
    """Return the class of results that a stored name means. Nothing is imported.

    Args:
        result_type_string: As `package.module:Class`.

    Raises:
        ResultTypeNotRegistered: This process knows no such class.
    """
    if result_type_string not in _types:
        module = str(result_type_string).partition(":")[0]
        raise ResultTypeNotRegistered(
            f"the result type {result_type_string!r} is not known here. "
            f"{choose_from(result_type_string, _types)}",
            remedy=f"If it is defined in {module!r}, import that module first.",
            result_type_string=result_type_string,
        )
    return _types[result_type_string]
