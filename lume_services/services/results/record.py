"""Records: what a store keeps of an item, and how it is checked when it is read."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lume_services.errors import DecodeError, ResultCorruptError, ResultsDBError
from lume_services.services.results.query.order import member
from lume_services.values import fingerprint
from lume_services.values.blobs import Blob
from lume_services.values.codec import TYPE, TYPES, encode
from lume_services.values.document import dumps, loads

ID = "_id"
UNIQUE_HASH = "unique_hash"
DATE_MODIFIED = "date_modified"

_RESERVED = (ID, TYPE, TYPES)


@dataclass(frozen=True)
class Record:
    """An item on its way into a store.

    Attributes:
        id: Identifies the record. Of two records, the later one has the greater id.
        unique_hash: Two items of a collection with the same hash are one record.
        date_modified: For the order in time; None where the item has none.
        document: What the codec made of the item, for indices.
        text: The same as JSON text; this is what is kept.
        digest: SHA-256 of the text, to be kept beside it.
        blobs: By digest, what the document refers to and the store keeps beside the record.
    """

    id: str
    unique_hash: str
    date_modified: datetime | None
    document: dict[str, Any]
    text: bytes
    digest: bytes
    blobs: Mapping[str, Blob]

    @classmethod
    def of(cls, item: Mapping[str, Any], unique_hash: str, *, threshold: int) -> Record:
        """Return the record of an item.

        Args:
            item: What `ResultsDB.insert_one` was given.
            unique_hash: What `unique_hash_of` returned for it.
            threshold: Arrays of at least this many bytes become blobs.

        Raises:
            EncodeError: A value in the item cannot be stored.
            ResultsDBError: Its `date_modified` is not a datetime.
        """
        blobs = _Blobs()
        document = {
            key: encode(value, where=key, sink=blobs, threshold=threshold)
            for key, value in {**item, UNIQUE_HASH: unique_hash}.items()
        }
        moment = date_of(document)
        if not isinstance(moment, datetime | None):
            raise ResultsDBError(
                f"{DATE_MODIFIED} is {item[DATE_MODIFIED]!r}, not a datetime.",
                remedy="Set it to datetime.now(UTC).",
            )
        text = dumps(document).encode()
        return cls(_new_id(), unique_hash, moment, document, text, _digest(text), blobs.by_digest)


_A_KIND = f'"{TYPE}'.encode()  # that is TYPES, too


@dataclass(slots=True)
class StoredRecord:
    """A record as it was found in a store.

    Attributes:
        id: Of the record.
        text: The kept JSON text.
        digest: The kept digest of the text.
        where: The store, for errors.
    """

    id: str
    text: bytes
    digest: bytes
    where: str

    @property
    def is_plain(self) -> bool:
        """Whether the document is the value: no part of it is of a kind that has to be made."""
        return _A_KIND not in self.text

    def document(self) -> dict[str, Any]:
        """Return the document, with its `_id`.

        Raises:
            ResultCorruptError: The text is not the one that was stored.
        """
        if _digest(self.text) != self.digest:
            raise self._corrupt("its text does not match its digest")
        try:
            document: Any = loads(self.text.decode(), encoded=True)
        except (DecodeError, UnicodeDecodeError) as error:
            raise self._corrupt("its text is not a document") from error
        if not isinstance(document, dict):
            raise self._corrupt("its text is not a document")
        return {ID: self.id, **document}

    def _corrupt(self, what: str) -> ResultCorruptError:
        return ResultCorruptError(
            f"record {self.id} is damaged: {what}.",
            where=self.where,
            remedy=f'Restore the store from a backup, or delete the record with {{"{ID}": "{self.id}"}}.',
            ids=[self.id],
        )


def unique_hash_of(item: Mapping[str, Any]) -> str:
    """Return what makes an item the same as another: its `unique_hash`, else its fingerprint.

    Raises:
        EncodeError: A value in the item cannot be stored.
        ResultsDBError: The item has a key that the store uses itself, or a hash that is not text.
    """
    if not isinstance(item, Mapping) or not all(isinstance(key, str) for key in item):
        raise ResultsDBError(
            f"an item is a mapping with text keys, not {type(item).__name__}.", remedy="Insert a dict."
        )
    for name in _RESERVED:
        if name in item:
            raise ResultsDBError(
                f"an item cannot have the key {name!r}, which the store uses itself.",
                remedy="Leave it out, or give it another name.",
            )
    unique_hash = item.get(UNIQUE_HASH)
    if unique_hash is None:
        return fingerprint(dict(item))
    if not isinstance(unique_hash, str) or not unique_hash:
        raise ResultsDBError(
            f"{UNIQUE_HASH} is {unique_hash!r}, not a text.",
            remedy="Leave it out; then it is the fingerprint of the item.",
        )
    return unique_hash


def date_of(document: dict[str, Any]) -> Any:
    """Return the `date_modified` of a document, or None; what it is has to be looked at."""
    return member(document, DATE_MODIFIED) if DATE_MODIFIED in document else None


def hash_of(parts: Mapping[str, Any]) -> str:
    """Return the unique hash of a result.

    Args:
        parts: By path, what makes the result the same as another.

    Raises:
        EncodeError: A part cannot be stored; the message names it.
    """
    return fingerprint({path: fingerprint(part, where=path) for path, part in parts.items()})


class _Blobs:
    """Collects the blobs of one record."""

    def __init__(self) -> None:
        self.by_digest: dict[str, Blob] = {}

    def put(self, blob: Blob) -> None:
        self.by_digest[blob.digest] = blob


def _new_id() -> str:
    return f"{time.time_ns():016x}{secrets.token_hex(8)}"


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
