"""Values to documents and back.

Plain data (text, numbers, bool, None, datetimes, lists, dicts with text keys) is stored as it is, so
that queries find it. Anything else becomes a dict with its kind under `$type` and its parts beside
it, or under `value` where the parts are not a dict:

    3 + 4j         ->  {"$type": "complex", "real": 3.0, "imag": 4.0}
    (1, 2)         ->  {"$type": "tuple", "value": [1, 2]}

Within a dict a value that comes down to one scalar stays a scalar under its own key, for queries, and
the kind goes beside, under `$types`:

    {"y": np.float32(1.5)}  ->  {"y": 1.5, "$types": {"y": {"$type": "numpy", "dtype": "<f4"}}}

A dict with other keys than text, or with one of these two, is stored as a list of pairs of kind `dict`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lume_services.errors import DecodeError, EncodeError
from lume_services.values.blobs import Blob, BlobReader, BlobSink, BlobSource
from lume_services.values.checks import kind_or_fail, put_together, taking_apart, utc, utf8
from lume_services.values.document import (
    INT64,
    MAX_DOCUMENT_DEPTH,
    TYPE,
    TYPES,
    Document,
    is_storable_datetime,
)
from lume_services.values.plain import RawBytes
from lume_services.values.registry import kind_named
from lume_services.values.trail import Trail

__all__ = ["DEFAULT_THRESHOLD", "TYPE", "TYPES", "decode", "encode", "types_beside"]

DEFAULT_THRESHOLD = 1 << 16

_PLAIN: tuple[type[Any], ...] = (str, int, float, bytes)
_AS_THEY_ARE = frozenset({float, bool, type(None)})
_UNTAGGED = frozenset({*_PLAIN, *_AS_THEY_ARE})
_TEXT = frozenset({str})
_SCALARS = frozenset({*_PLAIN, *_AS_THEY_ARE, datetime})


def encode(
    value: Any, *, where: str = "value", sink: BlobSink | None = None, threshold: int = DEFAULT_THRESHOLD
) -> Document:
    """Return the document of a value.

    Args:
        value: What to store.
        where: The name of the value in errors.
        sink: Takes arrays and bytes of `threshold` bytes and more; without it, all lies inline.
        threshold: In bytes.

    Raises:
        EncodeError: A part of the value cannot be stored. The error names it, and what to do.
    """
    return _Encoder(where, sink, threshold).value(value)


def decode(
    document: Document, *, source: BlobSource | None = None, where: str = "value", lazy: bool = True
) -> Any:
    """Return the value of a document: equal to the one encoded, and of the same type.

    An array whose bytes lie in a blob comes as a `LazyArray`, other arrays come writable; all other
    blobs are read.

    Args:
        document: What `encode` returned.
        source: Where the blobs are.
        where: The name of the value in errors.
        lazy: Whether an array in a blob is read when it is first used, not at once.

    Raises:
        DecodeError: The document is not what `encode` writes, or names a type not registered here.
        BlobCorruptError: The bytes of a blob are damaged.
    """
    try:
        return _Decoder(where, source, lazy=lazy).value(document)
    except RecursionError as error:
        raise DecodeError(
            "it is nested too deep to be read from within so many calls.",
            where=where,
            remedy="Read it from a function that is called less deep.",
        ) from error


class _Encoder:
    def __init__(self, where: str, sink: BlobSink | None, threshold: int) -> None:
        self._trail = Trail(where, EncodeError)
        self._sink = sink
        self._threshold = threshold

    def value(self, value: Any) -> Document:
        return _ENCODE.get(type(value), _Encoder.kind)(self, value)

    def as_is(self, value: Any) -> Document:
        document: Document = value
        return document

    def text(self, value: str) -> Document:
        if not value.isascii():
            utf8(value, self._trail)
        return value

    def integer(self, value: int) -> Document:
        return value if value in INT64 else self.kind(value)

    def moment(self, value: datetime) -> Document:
        moment = utc(value, self._trail)
        return moment if is_storable_datetime(moment) else self.kind(moment)

    def binary(self, value: bytes) -> Document:
        return value if self._sink is None or len(value) < self._threshold else self.kind(value)

    def raw(self, value: RawBytes) -> Document:
        if self._sink is None or len(value.view) < self._threshold:
            return bytes(value.view)
        blob = Blob.of(value.view)
        self._sink.put(blob)
        return {TYPE: "blob", "digest": blob.digest, "nbytes": blob.nbytes}

    def sequence(self, value: list[Any]) -> Document:
        self._trail.enter(value)
        documents = []
        for index, item in enumerate(value):
            self._trail.steps.append(index)
            documents.append(self.value(item))
            self._trail.steps.pop()
        self._trail.leave(value)
        return documents

    def mapping(self, value: dict[Any, Any]) -> Document:
        self._trail.enter(value)
        steps = self._trail.steps
        documents: dict[Any, Document] = {}
        plain = TYPE not in value and TYPES not in value
        for key, item in value.items():
            steps.append(key)
            documents[key] = item if type(item) in _AS_THEY_ARE else self.value(item)
            if type(key) is str:
                self.text(key)
            else:
                plain = False
            steps.pop()
        self._trail.leave(value)
        if plain:
            return types_beside(documents)
        return {TYPE: "dict", "value": [[self.value(key), item] for key, item in documents.items()]}

    def kind(self, value: Any) -> Document:
        kind = kind_or_fail(value, self._trail)
        self._trail.enter(value)
        with taking_apart(kind, self._trail):
            parts = kind.dump(value)
        document: Any = self.value(parts)
        self._trail.leave(value)
        if type(parts) is dict and TYPE not in document and document.keys() != {"value"}:
            return {TYPE: kind.name, **document}
        return {TYPE: kind.name, "value": document}


_ENCODE: dict[type, Callable[[_Encoder, Any], Document]] = {
    type(None): _Encoder.as_is,
    bool: _Encoder.as_is,
    float: _Encoder.as_is,
    str: _Encoder.text,
    int: _Encoder.integer,
    datetime: _Encoder.moment,
    bytes: _Encoder.binary,
    RawBytes: _Encoder.raw,
    list: _Encoder.sequence,
    dict: _Encoder.mapping,
}


def types_beside(documents: dict[str, Any]) -> dict[str, Document]:
    """Return the documents of a dict with the scalars of a kind as plain scalars, their kinds beside."""
    types: dict[str, Document] = {}
    for key, document in documents.items():
        if type(document) is dict and TYPE in document and type(document.get("value", ...)) in _SCALARS:
            types[key] = {name: part for name, part in document.items() if name != "value"}
            documents[key] = document["value"]
    return {**documents, TYPES: types} if types else documents


class _Decoder:
    def __init__(self, where: str, source: BlobSource | None, *, lazy: bool) -> None:
        self._lazy = lazy
        self._trail = Trail(where, DecodeError, limit=MAX_DOCUMENT_DEPTH)
        self._source = source

    def value(self, document: Document) -> Any:
        if type(document) in _UNTAGGED:
            return document
        if isinstance(document, dict):
            return self.tagged(document) if TYPE in document else self.mapping(document)
        if isinstance(document, list):
            return self.sequence(document)
        if isinstance(document, datetime) and document.utcoffset() is not None:
            return document.astimezone(UTC)
        for plain in _PLAIN:  # a store may give subclasses, as BSON does
            if isinstance(document, plain):
                return plain(document)
        raise self._trail.fail(f"a document cannot hold this {type(document).__name__}.")

    def sequence(self, document: list[Any]) -> list[Any]:
        self._trail.enter(document)
        values = []
        for index, item in enumerate(document):
            self._trail.steps.append(index)
            values.append(self.value(item))
            self._trail.steps.pop()
        self._trail.leave(document)
        return values

    def mapping(self, document: dict[str, Any]) -> dict[str, Any]:
        if _is_flat(document):
            return document.copy()  # most are so; the rest would give the same
        self._trail.enter(document)
        values = self.members(document)
        self._trail.leave(document)
        return values

    def members(self, document: dict[str, Any]) -> dict[str, Any]:
        steps = self._trail.steps
        types = self.types(document)
        values = {}
        for key, item in document.items():
            if key == TYPES:
                continue
            steps.append(key)
            if not isinstance(key, str):
                raise self._trail.fail("the keys of a document are text.")
            tagged = key in types
            values[key] = self.tagged({**types[key], "value": item}) if tagged else self.value(item)
            steps.pop()
        return values

    def types(self, document: dict[str, Any]) -> dict[str, dict[str, Any]]:
        if TYPES not in document:
            return {}
        types = document[TYPES]
        if not isinstance(types, dict) or not all(isinstance(part, dict) for part in types.values()):
            raise self._trail.fail(f"its {TYPES} is damaged.")
        return types

    def tagged(self, document: dict[str, Any]) -> Any:
        name = document.get(TYPE)
        if name == "blob":
            return self.blob(document)
        kind = kind_named(name) if isinstance(name, str) else None
        if kind is None:
            raise self._trail.fail(*_unknown(name))
        self._trail.enter(document)
        if document.keys() == {TYPE, "value"}:
            parts = self.value(document["value"])
        else:
            parts = self.members({key: part for key, part in document.items() if key != TYPE})
        value = put_together(kind, parts, self._trail)
        self._trail.leave(document)
        return value

    def blob(self, document: dict[str, Any]) -> BlobReader | memoryview:
        digest, nbytes = document.get("digest"), document.get("nbytes")
        if not isinstance(digest, str):
            raise self._trail.fail("this reference to a blob has no digest.")
        if self._source is None:
            raise self._trail.fail("its bytes lie in a blob.", "Pass the store of the blobs as `source`.")
        reader = self._source.open(digest)
        if reader.nbytes != nbytes:
            raise self._trail.fail(f"the blob has {reader.nbytes} bytes, not {nbytes!r}.")
        return reader if self._lazy else reader.read()


def _is_flat(document: dict[str, Any]) -> bool:
    """Tell whether the keys are text, and the values scalars that stand for themselves."""
    return (
        TYPES not in document
        and _UNTAGGED.issuperset(map(type, document.values()))
        and _TEXT.issuperset(map(type, document))
    )


def _unknown(name: object) -> tuple[str, str]:
    return (
        f"the type {name!r} is not registered in this process.",
        "Mark the class with @register_model where it is defined, and import that module before loading.",
    )
