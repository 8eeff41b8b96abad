"""YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class YAMLSerializer:
    """What plain YAML can hold; no Python objects are written or read."""

    def serialize(self, filename: str, obj: Any) -> None:
        """Write an object to a file; the order of keys is kept.

        Raises:
            yaml.representer.RepresenterError: Plain YAML cannot hold the object.
        """
        text = yaml.safe_dump(obj, sort_keys=False, allow_unicode=True)
        Path(filename).write_text(text, encoding="utf-8")

    @classmethod
    def deserialize(cls, filename: str) -> Any:
        """Read an object from a file."""
        return yaml.safe_load(Path(filename).read_bytes())
