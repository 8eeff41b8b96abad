"""JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class JSONSerializer:
    """What JSON can hold: mappings with text keys, lists, text, numbers, true, false, null.

    Numbers are written in full. A tuple is read back as a list.
    """

    def serialize(self, filename: str, obj: Any) -> None:
        """Write an object to a file.

        Raises:
            TypeError: JSON cannot hold the object, or would change its keys.
        """
        _refuse_other_keys(obj)
        Path(filename).write_text(json.dumps(obj, indent=2, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def deserialize(cls, filename: str) -> Any:
        """Read an object from a file."""
        return json.loads(Path(filename).read_bytes())


def _refuse_other_keys(obj: Any) -> None:
    if isinstance(obj, dict):
        for key, value in obj.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is not text, which JSON needs")
            _refuse_other_keys(value)
    elif isinstance(obj, list | tuple):
        for item in obj:
            _refuse_other_keys(item)
