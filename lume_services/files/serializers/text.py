"""Text."""

from __future__ import annotations

from pathlib import Path


class TextSerializer:
    """Text as UTF-8, character for character: line ends are not translated."""

    def serialize(self, filename: str, obj: str) -> None:
        """Write text to a file.

        Raises:
            TypeError: The object is not text.
        """
        if type(obj) is not str:
            raise TypeError(f"expected str, got {type(obj).__name__}")
        Path(filename).write_text(obj, encoding="utf-8", newline="")

    @classmethod
    def deserialize(cls, filename: str) -> str:
        """Read text from a file."""
        return Path(filename).read_bytes().decode("utf-8")
