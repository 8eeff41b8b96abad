"""Many strings as a few arrays, so that a column of text can lie in blobs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from lume_services.values.parts import column_of, exactly, members


def pack(strings: Sequence[str | None]) -> dict[str, Any]:
    """Return strings as UTF-8 bytes, the ends of each in bytes, and the positions of those missing.

    Raises:
        UnicodeEncodeError: A string is not Unicode.
    """
    encoded = [b"" if text is None else text.encode("utf-8") for text in strings]
    return {
        "utf8": b"".join(encoded),
        "ends": np.fromiter(accumulate(map(len, encoded)), np.int64, len(encoded)),
        "missing": np.array([index for index, text in enumerate(strings) if text is None], np.int64),
    }


def unpack(parts: Any) -> list[str | None]:
    """Return the strings that were packed.

    Raises:
        ValueError: These parts were not made by `pack`.
    """
    utf8, ends, missing = members(parts, "utf8", "ends", "missing")
    utf8, ends = exactly(utf8, bytes), column_of(ends, "i").tolist()
    if (ends[-1] if ends else 0) != len(utf8) or any(start > end for start, end in pairwise([0, *ends])):
        raise ValueError("the strings do not fill their bytes")
    strings: list[str | None] = [utf8[start:end].decode("utf-8") for start, end in pairwise([0, *ends])]
    for index in column_of(missing, "i").tolist():
        if index not in range(len(strings)) or strings[index]:
            raise ValueError(f"string {index} is not one that is missing")
        strings[index] = None
    return strings
