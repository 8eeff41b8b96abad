"""Images."""

from __future__ import annotations

from pathlib import Path

from PIL import Image


class ImageSerializer:
    """A Pillow image in the format that the ending of the file name tells; PNG without one."""

    def serialize(self, filename: str, obj: Image.Image) -> None:
        """Write an image to a file.

        Raises:
            TypeError: The object is not a Pillow image.
        """
        if not isinstance(obj, Image.Image):
            raise TypeError(f"expected a PIL.Image.Image, got {type(obj).__name__}")
        obj.save(filename, format=None if Path(filename).suffix else "PNG")

    @classmethod
    def deserialize(cls, filename: str) -> Image.Image:
        """Read an image from a file, whole; the file is closed afterwards."""
        with Image.open(filename) as image:
            image.load()
            return image
