"""Results leave the store as a file: CSV, JSON, JSON lines, Parquet or HDF5.

`json` and `jsonl` keep the nesting. Arrays and tables become lists; dates become ISO text, bytes become
base64, NaN and the infinities become null; the fingerprint of the record tells whether JSON has kept it
exactly. `hdf5` has a group for each record, named by its id, with arrays
as datasets. `csv` and `parquet` are flat tables with columns as `inputs.x`. In CSV a list or a dict is JSON
text; an array or a table is only named, as `<array 50x50 float64>`. Parquet keeps arrays as lists.

JSON and HDF5 are written record by record; a table is held in memory until its columns are known. A file
appears under its name when it is complete.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from lume_services.errors import SerializationError, choose_from
from lume_services.results.plain import cell, column_value, loaded, plain
from lume_services.services.files.atomic import atomic_path
from lume_services.services.results.columns import Keys, column_names, flatten
from lume_services.services.results.record import ID, UNIQUE_HASH
from lume_services.values import fingerprint

FINGERPRINT = "_fingerprint"
"""In JSON, the fingerprint of a whole record: what JSON has changed is not imported."""

Records: TypeAlias = Iterable[Mapping[str, Any]]


def export_results(records: Records, path: str | Path, *, file_format: str | None = None) -> int:
    """Write records to a file; one that exists is replaced.

    Args:
        records: What `ResultsDBService.find` returned.
        path: The file.
        file_format: `csv`, `json`, `jsonl`, `parquet` or `hdf5`; default: by the suffix of the path.

    Returns:
        How many records were written.

    Raises:
        SerializationError: The format is not known, lacks its library, or cannot hold a value.
        OSError: The file cannot be written.
    """
    path = Path(path)
    chosen = file_format or format_of(path)
    if chosen not in FORMATS:
        raise SerializationError(
            f"there is no export format {chosen!r}. {choose_from(chosen, FORMATS)}", where=str(path)
        )
    with atomic_path(path) as unfinished:
        return FORMATS[chosen](records, unfinished)


def format_of(path: Path) -> str:
    """Return the format that the suffix of a file means."""
    return _SUFFIXES.get(path.suffix, path.suffix.removeprefix("."))


def _write_csv(records: Records, path: Path) -> int:
    names, rows = _table(records)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names.values())
        writer.writerows([cell(row.get(keys)) for keys in names] for row in rows)
    return len(rows)


def _write_json(records: Records, path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as stream:
        stream.write("[")
        for count, line in enumerate(_json_lines(records), start=1):
            stream.write(("\n" if count == 1 else ",\n") + line)
        stream.write("\n]\n")
    return count


def _write_json_lines(records: Records, path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as stream:
        for line in _json_lines(records):
            stream.write(line + "\n")
            count += 1
    return count


def _json_lines(records: Records) -> Iterator[str]:
    for record in records:
        written = plain(record)
        if UNIQUE_HASH in record:
            written[FINGERPRINT] = fingerprint({key: record[key] for key in record if key != ID})
        yield json.dumps(written, ensure_ascii=False, allow_nan=False)


def _write_parquet(records: Records, path: Path) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise SerializationError(
            "Parquet needs the package pyarrow, which is not installed.",
            remedy="Install it with: pip install 'lume-services[parquet]'",
        ) from error
    names, rows = _table(records)
    columns = {}
    for keys, name in names.items():
        with _refused(f"the column {name!r} holds what Parquet cannot", pa.ArrowException):
            columns[name] = pa.array([column_value(row.get(keys)) for row in rows])
    with _refused("a column holds what Parquet cannot", pa.ArrowException):
        pq.write_table(pa.table(columns), path)
    return len(rows)


def _write_hdf5(records: Records, path: Path) -> int:
    from lume_services.values.hdf5 import write_value
    from lume_services.values.hdf5_layout import make_group
    from lume_services.values.hdf5_sink import new_file

    count = 0
    with new_file(path) as file:
        for record in records:
            write_value(make_group(file, record["_id"]), loaded(record))
            count += 1
    return count


FORMATS: dict[str, Callable[[Records, Path], int]] = {
    "csv": _write_csv,
    "json": _write_json,
    "jsonl": _write_json_lines,
    "parquet": _write_parquet,
    "hdf5": _write_hdf5,
}
_SUFFIXES = {".h5": "hdf5"}


def _table(records: Records) -> tuple[dict[Keys, str], list[dict[Keys, Any]]]:
    rows = [flatten(record) for record in records]
    return column_names(keys for row in rows for keys in row), rows


@contextmanager
def _refused(what: str, error_type: type[Exception]) -> Iterator[None]:
    try:
        yield
    except (error_type, OverflowError) as error:
        raise SerializationError(
            f"{what}: {error}.", remedy="Leave it out with fields=, or export as csv or json."
        ) from error
