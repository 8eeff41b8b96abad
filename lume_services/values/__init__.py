"""Values: their canonical fingerprint, and the codec that stores them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lume_services.values.blobs import Blob, BlobReader, BlobSink, BlobSource
from lume_services.values.codec import decode, encode
from lume_services.values.document import Document, dumps, loads
from lume_services.values.hashing import fingerprint
from lume_services.values.registry import register_model, register_type

if TYPE_CHECKING:
    from lume_services.values.lazy import LazyArray

__all__ = [
    "Blob",
    "BlobReader",
    "BlobSink",
    "BlobSource",
    "Document",
    "LazyArray",
    "decode",
    "dumps",
    "encode",
    "fingerprint",
    "loads",
    "register_model",
    "register_type",
]


def __getattr__(name: str) -> Any:
    if name == "LazyArray":  # NumPy is imported only where arrays are used
        from lume_services.values.lazy import LazyArray

        return LazyArray
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
