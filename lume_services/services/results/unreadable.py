"""What becomes of records that cannot be read while others can."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lume_services.errors import LUMEServicesError, ResultCorruptError
from lume_services.services.results.record import ID, StoredRecord


class Unreadable:
    """The records that could not be read, for one error when all others are through.

    One that was deleted meanwhile is none of them: its array, or its file, went with it.

    Args:
        holds: Tells whether the collection still holds a record of an id.
    """

    def __init__(self, holds: Callable[[str], bool]) -> None:
        self._holds = holds
        self._found: dict[str, LUMEServicesError] = {}

    def add(self, record_id: str, error: LUMEServicesError) -> None:
        """Take note of a record."""
        self._found[record_id] = error

    def skip(self, records: Iterator[StoredRecord]) -> Iterator[dict[str, Any]]:
        """Yield the documents of those that can be read."""
        for record in records:
            try:
                document = record.document()
            except ResultCorruptError as error:
                self.add(record.id, error)
            else:
                yield document

    def messages(self) -> dict[str, str]:
        """Return the messages of the errors by the id of the record."""
        return {record_id: error.message for record_id, error in self._errors().items()}

    def _errors(self) -> dict[str, LUMEServicesError]:
        return {record_id: error for record_id, error in self._found.items() if self._holds(record_id)}

    def report(self) -> None:
        """Raise the error, if there were any."""
        errors = self._errors()
        if not errors:
            return
        (record_id, first), *others = errors.items()
        if not others and record_id in str(first):
            raise first
        raise ResultCorruptError(
            f"{len(errors)} record{'s' if others else ''} cannot be read: "
            f"{', '.join(errors)}. The first: {first}",
            remedy=f'Restore the store from a backup, or delete them with {{"{ID}": {{"$in": […]}}}}.',
            ids=list(errors),
        ) from first
