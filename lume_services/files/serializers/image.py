"""Images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lume_services.errors import EncodeError

# A program or a part of the system draws these: that is no way to read what others have written.
_DRAWN = ("EPS", "WMF")


class ImageSerializer:
    """A Pillow image in the format that the ending of the file name tells; PNG without one.

    The file must give back every pixel: a format that changes some, as JPEG, or drops the palette, the
    metadata or further frames is refused.
    """

    def serialize(self, filename: str, obj: Image.Image) -> None:
        """Write an image to a file.

        Raises:
            TypeError: The object is not a Pillow image.
            EncodeError: The format would not keep all of it; the error names what.
        """
        if not isinstance(obj, Image.Image):
            raise TypeError(f"expected a PIL.Image.Image, got {type(obj).__name__}")
        obj.save(filename, format=None if Path(filename).suffix else "PNG", **_metadata(obj))
        changed = list(_changes(obj, self.deserialize(filename)))
        if changed:
            raise EncodeError(
                f"the format of the file would change {', '.join(changed)} of the image.",
                remedy="Use one that keeps them, as .png or .tiff, or drop the metadata: image.info.clear().",
            )

    @classmethod
    def deserialize(cls, filename: str) -> Image.Image:
        """Read an image from a file, whole; the file is closed afterwards."""
        Image.init()
        formats = [name for name in Image.OPEN if name not in _DRAWN]
        with Image.open(filename, formats=formats) as image:
            image.load()
            return image


def _metadata(image: Image.Image) -> dict[str, Any]:
    """Return what `save` is to be told of the metadata of an image; a format takes what it knows."""
    texts = PngInfo()
    for name, value in image.info.items():
        if isinstance(value, str):
            texts.add_text(str(name), value)
    known: dict[str, Any] = {
        name: image.info[name] for name in ("dpi", "exif", "icc_profile") if name in image.info
    }
    return {**known, "pnginfo": texts}


def _changes(before: Image.Image, after: Image.Image) -> Iterator[str]:
    if getattr(before, "n_frames", 1) != 1:
        yield "the number of frames"
    if before.mode != after.mode:
        yield f"the mode {before.mode}"
    elif before.size != after.size or before.tobytes() != after.tobytes():
        yield "the pixels"
    elif before.getpalette() != after.getpalette():
        yield "the palette"
    for name, value in before.info.items():
        if after.info.get(name) != value:
            yield f"the metadata {name!r}"
    if not dict(before.getexif()).items() <= dict(after.getexif()).items():
        yield "the EXIF metadata"
