"""JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lume_services.files.serializers.exact import refuse_changes, refuse_other_types


class JSONSerializer:
    """What JSON can hold: dicts with text keys, lists, text, numbers, True, False, None.

    Numbers are written in full; NaN and the infinities as Python's `json` writes them. What would be read as
    something else, as a tuple or a NumPy number, is refused.
    """

    def serialize(self, filename: str, obj: Any) -> None:
        """Write an object to a file.

        Raises:
            EncodeError: JSON cannot hold a part of the object; the error names it.
        """
        refuse_other_types(obj, "JSON", keys=(str,))
        Path(filename).write_text(json.dumps(obj, indent=2, ensure_ascii=False), encoding="utf-8")
        refuse_changes(obj, self.deserialize(filename))

    @classmethod
    def deserialize(cls, filename: str) -> Any:
        """Read an object from a file.

        Raises:
            ValueError: It is not JSON, or has a key twice in a dict.
        """
        return json.loads(Path(filename).read_bytes(), object_pairs_hook=_dict)


def _dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found
