"""Names of collections, the same for every store."""

from __future__ import annotations

from typing import Any

from lume_services.errors import ResultsDBError

_LONGEST_NAME = 128  # MongoDB's limit is 255, with the database and what stands for odd characters


def check_collection(collection: Any) -> None:
    """Refuse what is no name of a collection.

    Raises:
        ResultsDBError: It is not a text, or one that a store could not use.
    """
    if not isinstance(collection, str) or not collection:
        raise ResultsDBError(f"a collection is named by a text, not {collection!r}.")
    try:
        nbytes = len(collection.encode())
    except UnicodeEncodeError as error:
        raise ResultsDBError(
            f"{collection!r} names no collection: half of a surrogate pair stands for no character."
        ) from error
    if nbytes > _LONGEST_NAME or "\0" in collection:
        raise ResultsDBError(
            f"{collection[:_LONGEST_NAME]!r} names no collection: a name has at most {_LONGEST_NAME} bytes "
            "of UTF-8, and no NUL.",
            remedy="Choose a shorter name for the project.",
        )
