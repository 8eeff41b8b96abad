"""What makes a result the same as another: the parts that its `unique_on` names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lume_services.errors import choose_from
from lume_services.results.provenance import Provenance
from lume_services.services.results.query.paths import Path, splits
from lume_services.services.results.record import ID, UNIQUE_HASH, hash_of

_PROVENANCE = "provenance"


def part_at(fields: Mapping[str, Any], path: str) -> Any:
    """Return the part of a result that a path names.

    Raises:
        ValueError: There is none.
    """
    try:
        return _lookup(fields, Path(path).atoms)
    except LookupError as error:
        raise ValueError(f"unique_on names {path!r}: {error}") from error


def hash_in(record: Mapping[str, Any]) -> str:
    """Return the unique hash that the content of a record of a result gives, whatever it says itself.

    Raises:
        ValueError: The record does not say by what it is unique, or lacks that.
        EncodeError: A part of it cannot be stored.
    """
    paths = record.get("unique_on")
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
        raise ValueError("its unique_on is not a list of names")
    fields = {key: value for key, value in record.items() if key not in (ID, UNIQUE_HASH)}
    if _PROVENANCE in paths:
        fields[_PROVENANCE] = Provenance.model_validate(record.get(_PROVENANCE))
    return hash_of({path: part_at({"id": None, **fields}, path) for path in paths})


def _lookup(value: Any, atoms: tuple[str, ...]) -> Any:
    """Return what a path leads to, by the first of the keys it may mean that leads anywhere."""
    if not atoms:
        return value
    keys = value if isinstance(value, Mapping) else {}
    deeper: LookupError | None = None
    for key, rest in splits(atoms):
        if key in keys:
            try:
                return _lookup(keys[key], rest)
            except LookupError as error:
                deeper = deeper or error
    raise deeper or LookupError(f"there is no {'.'.join(atoms)!r}. {choose_from(atoms[0], keys)}")
