"""Exports are read again: HDF5 exactly, JSON where it has kept a result exactly.

The content of each result must give the unique hash that it has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from lume_services.errors import DecodeError, EncodeError, ResultsDBError, SerializationError, choose_from
from lume_services.results.export import FINGERPRINT, format_of
from lume_services.results.identity import hash_in
from lume_services.results.registry import get_result_from_string
from lume_services.services.results.record import ID, UNIQUE_HASH, unique_hash_of
from lume_services.values import fingerprint

Record: TypeAlias = dict[str, Any]

_WHAT_JSON_KEEPS = (
    "JSON keeps text, numbers, lists and dicts only, and no arrays, tables, tuples or NaN: "
    "export with --format hdf5."
)


def read_export(path: str | Path, *, file_format: str | None = None) -> Iterator[Record]:
    """Stream the records of a file that `export_results` wrote.

    Args:
        path: The file.
        file_format: `hdf5`, `json` or `jsonl`; default: by the suffix of the path.

    Returns:
        The records, each with its `project_name` and `unique_hash`.

    Raises:
        SerializationError: The format is not one of them; raised at once.
        DecodeError: The file is not such an export, JSON has not kept a result exactly, or the content of a
            result does not give its unique hash.
        ResultTypeNotRegistered: A result in JSON is of a class that is not known in this process.
        OSError: The file cannot be read.
    """
    path = Path(path)
    chosen = file_format or format_of(path)
    if path.exists() and not path.is_file():
        raise SerializationError("this is not a regular file.", where=str(path), remedy="Name a file.")
    if chosen not in _FORMATS:
        raise SerializationError(
            f"results cannot be imported from {chosen!r}. {choose_from(chosen, _FORMATS)}", where=str(path)
        )
    return _FORMATS[chosen](path)


def _read_hdf5(path: Path) -> Iterator[Record]:
    import h5py

    from lume_services.values.hdf5 import read_members

    path.open("rb").close()  # h5py does not say why a file cannot be opened
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _no_export(str(path), f"it cannot be opened as HDF5 ({error})") from error
    with file:
        try:
            for name, record in read_members(file):
                yield _of_its_content(record, f"{path}: {name}")
        except DecodeError as error:
            where = error.where if str(path) in str(error.where) else f"{path}: {error.where}"
            raise DecodeError(error.message, where=where, remedy=error.remedy) from error


def _read_json(path: Path) -> Iterator[Record]:
    records = _parsed(path.read_bytes(), str(path))
    if not isinstance(records, list):
        raise _no_export(str(path), "it is not a list of results")
    for number, record in enumerate(records, start=1):
        yield _exact(record, f"{path}: result {number}")


def _read_json_lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{path}: line {number}"
            yield _exact(_parsed(line, where), where)


_FORMATS: dict[str, Callable[[Path], Iterator[Record]]] = {
    "hdf5": _read_hdf5,
    "json": _read_json,
    "jsonl": _read_json_lines,
}


def _parsed(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _no_export(where, f"it is not JSON ({error})") from error


def _exact(found: Any, where: str) -> Record:
    """Return the record of a result in JSON, all of which must be what was exported."""
    record = _with_identity(found, where)
    known = get_result_from_string(str(record.get("result_type_string")))
    exported = record.get(FINGERPRINT)
    if exported is None:
        raise DecodeError(
            f"it has no {FINGERPRINT}, so it is not known whether JSON has kept all of it.",
            where=where,
            remedy="Export it again with this version of LUME-services, or with --format hdf5.",
        )
    try:
        fields = {key: value for key, value in record.items() if key not in (ID, FINGERPRINT)}
        exact: Record = known.model_validate(fields).as_record()
        if fingerprint(exact) != exported:
            raise DecodeError(
                "this result is not what was exported: it has another content.",
                where=where,
                remedy=_WHAT_JSON_KEEPS,
            )
    except ValidationError as error:
        problems = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise DecodeError(
            f"this result is not what was exported: {problems}.", where=where, remedy=_WHAT_JSON_KEEPS
        ) from error
    return exact


def _of_its_content(found: Any, where: str) -> Record:
    """Return a record, whose content must give its hash: a forged one would hide another result."""
    record = _with_identity(found, where)
    try:
        content = {key: value for key, value in record.items() if key not in (ID, UNIQUE_HASH)}
        given = hash_in(record) if "result_type_string" in record else unique_hash_of(content)
    except (ValueError, EncodeError, ResultsDBError) as error:
        raise _no_export(where, f"its unique_hash cannot be checked: {error}") from error
    if given != record[UNIQUE_HASH]:
        raise DecodeError(
            f"this result is not what was exported: its unique_hash is {record[UNIQUE_HASH]!r}, "
            f"but its content gives {given!r}.",
            where=where,
            remedy="Export it again from the store that it came from.",
        )
    return record


def _with_identity(record: Any, where: str) -> Record:
    if not isinstance(record, dict) or not all(
        isinstance(record.get(name), str) and record[name] for name in ("project_name", UNIQUE_HASH)
    ):
        raise _no_export(where, "it has no project_name or no unique_hash")
    return record


def _no_export(where: str, why: str) -> DecodeError:
    return DecodeError(
        f"this is no exported result: {why}.",
        where=where,
        remedy="Import what `results export` wrote with --format hdf5, json or jsonl.",
    )
