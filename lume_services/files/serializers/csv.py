"""Tables as comma-separated values."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lume_services.errors import EncodeError

if TYPE_CHECKING:
    import pandas as pd

_REMEDY = (
    "Convert it first, as with frame.reset_index(drop=True) or frame.astype(…), or store the table in an "
    "HDF5File, which keeps all of it."
)
_INT = re.compile(r"[+-]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?inf|nan")
_MOST_DIGITS = 20
_BOOLS: dict[str, bool] = {"True": True, "False": False}
_NULLABLE: dict[Any, Any] = {"int64": "Int64", "uint64": "UInt64"}


class CSVSerializer:
    """A DataFrame as comma-separated values, its columns named in the first line, without its index.

    What a column holds is told from its text when it is read:

    - integers (`int64`, `uint64`), where all cells are such, without zeros in front: `007` is text;
    - numbers (`float64`), where some have a point, an exponent, or are `nan` or `inf`;
    - `True` and `False` (`bool`);
    - else text (`str`), character for character: `NA`, `None` and the empty text are text.

    An empty cell among numbers is NaN, among integers or booleans `<NA>` (`Int64`, `UInt64`, `boolean`). A
    table that would not be read again as it is, as one with an own index, is refused when it is written.
    """

    def serialize(self, filename: str, obj: pd.DataFrame) -> None:
        """Write a DataFrame to a file.

        Raises:
            TypeError: The object is not a DataFrame.
            EncodeError: It would be read as another one; the error names the first part that differs.
        """
        import pandas as pd

        if type(obj) is not pd.DataFrame:
            raise TypeError(f"expected a pandas DataFrame, got {type(obj).__name__}")
        columns = [[_text(item) for item in column.tolist()] for _, column in obj.items()]
        with Path(filename).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if columns:
                writer.writerow(obj.columns)
            writer.writerows(zip(*columns, strict=True))
        _refuse_changes(obj, self.deserialize(filename))

    @classmethod
    def deserialize(cls, filename: str) -> pd.DataFrame:
        """Read a DataFrame from a file.

        Raises:
            ValueError: It is not CSV: a line has more or fewer cells than the first.
        """
        import pandas as pd

        with Path(filename).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, [])
            rows = [row for row in reader if _is_whole(row, names, reader.line_num)]
        if not rows:
            return pd.DataFrame(columns=pd.Index(names)) if names else pd.DataFrame()
        columns = [_column(list(cells)) for cells in zip(*rows, strict=True)]
        frame = pd.DataFrame(dict(enumerate(columns)))
        frame.columns = pd.Index(names)
        return frame


def _is_whole(row: Sequence[str], names: Sequence[str], line: int) -> bool:
    if row and len(row) != len(names):
        raise ValueError(f"line {line} has {len(row)} cells, but the first line has {len(names)}")
    return bool(row)


def _text(item: Any) -> str:
    """Return the text of a cell; a number in full."""
    import pandas as pd

    return "" if item is pd.NA else str(item)


def _column(cells: list[str]) -> Any:
    import numpy as np
    import pandas as pd

    present = [cell for cell in cells if cell]
    missing = len(present) < len(cells)
    if present and all(map(_BOOLS.__contains__, present)):
        found = [_BOOLS.get(cell) for cell in cells]
        return pd.array(found, dtype="boolean") if missing else np.array(found, bool)
    if present and all(map(_INT.fullmatch, present)):
        name = _integer_dtype(present)
        if name is not None and missing:
            return pd.array([int(cell) if cell else None for cell in cells], dtype=_NULLABLE[name])
        if name is not None:
            return np.array(list(map(int, cells)), name)
    elif _are_floats(present):
        return np.array([float(cell) if cell else np.nan for cell in cells])
    return pd.Series(cells, dtype="str").array


def _integer_dtype(cells: list[str]) -> str | None:
    """Return the dtype that holds integers, or None where they are too many digits."""
    import numpy as np

    if max(map(len, cells)) > _MOST_DIGITS:
        return None
    low, high = min(map(int, cells)), max(map(int, cells))
    bounds = {name: np.iinfo(name) for name in _NULLABLE}
    return next((name for name, known in bounds.items() if known.min <= low and high <= known.max), None)


def _are_floats(cells: list[str]) -> bool:
    if not cells or not all(map(_FLOAT.fullmatch, cells)):
        return False
    too_large = any(math.isinf(float(cell)) and "inf" not in cell for cell in cells)
    return not too_large and all(map(_is_exact, filter(_INT.fullmatch, cells)))


def _is_exact(cell: str) -> bool:
    return len(cell) <= _MOST_DIGITS and int(float(cell)) == int(cell)


def _refuse_changes(before: pd.DataFrame, after: pd.DataFrame) -> None:
    from lume_services.values import fingerprint

    parts = [(name, getattr(before, name), getattr(after, name)) for name in ("attrs", "index", "columns")]
    if before.shape == after.shape:
        for place, name in enumerate(before.columns):
            parts.append((f"[{name!r}]", before.iloc[:, place], after.iloc[:, place]))
    for name, old, new in [*parts, ("", before, after)]:
        if fingerprint(old, where=f"value{name}") != fingerprint(new):
            raise EncodeError(
                f"{_shown(old)} would be read as {_shown(new)}.",
                where=f"value{name if name.startswith('[') else '.' * bool(name) + name}",
                remedy=_REMEDY,
            )


def _shown(part: Any) -> str:
    if not hasattr(part, "dtype"):
        return f"{getattr(part, 'flags', part)!r:.200}"
    return f"{type(part).__name__}({part.tolist()[:3]!r:.100}, dtype={part.dtype}, name={part.name!r})"
