"""Documents: what a store keeps of a value, and their exact JSON text.

A *document* is a tree of dict (keys are any text), list, str, int (64 bits), float (NaN and
infinities too), bool, None, datetime (aware, UTC, whole milliseconds) and bytes. Those that JSON
lacks are written as a dict of one reserved key: `{"$float": "nan"}`, `{"$datetime": "2024-01-31T…"}`,
`{"$bytes": "base64"}`. A dict that looks like one of these is written as `{"$dict": [[key, value]]}`.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from lume_services.errors import DecodeError, EncodeError
from lume_services.values.trail import MAX_DEPTH, Trail

Scalar: TypeAlias = str | int | float | bool | datetime | bytes | None
Document: TypeAlias = "dict[str, Document] | list[Document] | Scalar"

TYPE = "$type"
TYPES = "$types"
"""The keys by which `codec` marks what is more than plain data."""

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_USUAL_DEPTH = 10
INT64 = range(-(2**63), 2**63)
MAX_DOCUMENT_DEPTH = MAX_DEPTH + 50  # a store may put some levels around an encoded value


def is_storable_datetime(moment: datetime) -> bool:
    """Return whether a document holds this moment exactly: aware, with whole milliseconds."""
    return moment.utcoffset() is not None and moment.microsecond % 1000 == 0


def dumps(document: Document) -> str:
    """Return the JSON text of a document, on one line.

    Raises:
        EncodeError: The document holds something that is not part of one, or is too deep.
    """
    return _ENCODER.encode(_Writer().value(document))


def loads(text: str, *, encoded: bool = False) -> Document:
    """Return the document of a JSON text written by `dumps`.

    Args:
        text: The text.
        encoded: It is what the codec made of a value. Then what the codec marks must be whole, because
            stores and queries look into it before it is decoded.

    Raises:
        DecodeError: The text is not JSON, or not a document.
    """
    try:
        # Without a hook for each dict it takes half of the time.
        decoder = (_ENCODED_DECODER if encoded else _DECODER) if '"$' in text else _PLAIN_DECODER
        document: Document = decoder.decode(text)
        if _may_be_deep(text):
            _check_depth(document)
        if "\\u" in text and _SURROGATE.search(text):
            _PLAIN_ENCODER.encode(document).encode()  # raises where one stands alone, and so is not Unicode
    except (ValueError, TypeError, RecursionError) as error:
        raise DecodeError(
            f"This text is not a stored document: {error}.",
            remedy="It was damaged or written by another program.",
        ) from error
    return document


def _may_be_deep(text: str) -> bool:
    """Tell whether it is worth while to go through a document: nearly none is deep."""
    if text.count("[") + text.count("{") <= MAX_DOCUMENT_DEPTH:
        return False
    brackets = text.encode("utf-8", "replace").translate(None, _NO_BRACKETS)
    for _ in range(_USUAL_DEPTH):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    return len(brackets) > MAX_DOCUMENT_DEPTH


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DOCUMENT_DEPTH + 1):
        level = [
            part
            for node in level
            for part in (node.values() if type(node) is dict else node)
            if type(part) is dict or type(part) is list
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {MAX_DOCUMENT_DEPTH} levels deep")


class _Writer:
    def __init__(self) -> None:
        self._trail = Trail("document", EncodeError, limit=MAX_DOCUMENT_DEPTH)

    def value(self, node: Any) -> Any:
        if type(node) in _AS_THEY_ARE:
            return node
        write = _WRITERS.get(type(node))
        if write is None:
            raise self._trail.fail(
                f"a document cannot hold {type(node).__name__}.", "Encode the value first."
            )
        return write(self, node)

    def integer(self, node: int) -> int:
        if node not in INT64:
            raise self._trail.fail("a document holds integers of 64 bits only.", "Encode the value first.")
        return node

    def number(self, node: float) -> Any:
        return node if math.isfinite(node) else {"$float": repr(node)}

    def moment(self, node: datetime) -> Any:
        if not is_storable_datetime(node):
            raise self._trail.fail(
                "a document holds aware datetimes with whole milliseconds only.", "Encode the value first."
            )
        return {"$datetime": node.astimezone(UTC).isoformat(timespec="milliseconds")}

    def binary(self, node: bytes) -> Any:
        return {"$bytes": base64.b64encode(node).decode("ascii")}

    def sequence(self, node: list[Any]) -> Any:
        self._trail.enter(node)
        items = []
        for index, item in enumerate(node):
            self._trail.steps.append(index)
            items.append(self.value(item))
            self._trail.steps.pop()
        self._trail.leave(node)
        return items

    def mapping(self, node: dict[str, Any]) -> Any:
        self._trail.enter(node)
        steps = self._trail.steps
        plain = {}
        for key, item in node.items():
            steps.append(key)
            if not isinstance(key, str):
                raise self._trail.fail("the keys of a document are text.", "Encode the value first.")
            plain[key] = item if type(item) in _AS_THEY_ARE else self.value(item)
            steps.pop()
        self._trail.leave(node)
        if len(plain) == 1 and not _READERS.keys().isdisjoint(plain):
            return {"$dict": [list(pair) for pair in plain.items()]}
        return plain


_AS_THEY_ARE = frozenset({type(None), bool, str})
_WRITERS: dict[type, Callable[[_Writer, Any], Any]] = {
    int: _Writer.integer,
    float: _Writer.number,
    datetime: _Writer.moment,
    bytes: _Writer.binary,
    list: _Writer.sequence,
    dict: _Writer.mapping,
}


def _untag(node: dict[str, Any]) -> Any:
    if len(node) == 1:
        [(key, content)] = node.items()
        if key in _READERS:
            return _READERS[key](content)
    return node


def _untag_encoded(node: dict[str, Any]) -> Any:
    if TYPE in node:
        _check_bytes(node)
    if TYPES in node:
        types = node[TYPES]
        if type(types) is not dict or any(type(part) is not dict for part in types.values()):
            raise ValueError(f"its {TYPES} is damaged")
    return _untag(node) if len(node) == 1 else node


def _check_bytes(node: dict[str, Any]) -> None:
    if node[TYPE] == "blob":
        digest, nbytes = node.get("digest"), node.get("nbytes")
        if type(digest) is not str or type(nbytes) is not int or nbytes < 0:
            raise ValueError("a reference to a blob has no digest or no length")
    elif node[TYPE] == "bytes" and "data" not in node:
        raise ValueError("bytes are not there")


def _read_float(text: str) -> float:
    number = float(text)
    if math.isfinite(number):
        raise ValueError(f"$float holds {text!r}")
    return number


def _read_datetime(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if not is_storable_datetime(moment):
        raise ValueError(f"$datetime holds {text!r}")
    return moment.astimezone(UTC)


def _read_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _read_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if not all(isinstance(key, str) for key, _ in pairs):
        raise ValueError("$dict has a key that is not text")
    return dict(pairs)


_READERS: dict[str, Callable[[Any], Any]] = {
    "$float": _read_float,
    "$datetime": _read_datetime,
    "$bytes": _read_bytes,
    "$dict": _read_dict,
}


def _int64(text: str) -> int:
    number = int(text)
    if number not in INT64:
        raise ValueError("an integer has more than 64 bits")
    return number


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_PLAIN_ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_PLAIN_DECODER = json.JSONDecoder(parse_int=_int64, parse_constant=_refuse_constant)
_ENCODED_DECODER = json.JSONDecoder(
    object_hook=_untag_encoded, parse_int=_int64, parse_constant=_refuse_constant
)
_DECODER = json.JSONDecoder(object_hook=_untag, parse_int=_int64, parse_constant=_refuse_constant)
