"""`ResultsDBService`: the configured results store, as the rest of the program sees it."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lume_services.services.results.base import Reindexed, ResultsDB
from lume_services.services.results.columns import MISSING, column_names, column_of, flatten
from lume_services.services.results.query.selection import SortSpec
from lume_services.services.results.record import DATE_MODIFIED
from lume_services.services.results.stats import CollectionStats

if TYPE_CHECKING:
    import pandas as pd


INTERNAL = "_lume_"
"""Collections whose names begin so hold what is kept of runs, and no results."""


def is_internal(collection: str) -> bool:
    """Tell whether a collection holds what is kept of runs, or could be mistaken for one that does."""
    return unicodedata.normalize("NFKC", collection).strip().casefold().startswith(INTERNAL)


class ResultsDBService:
    """Stores and finds results.

    Args:
        results_db: Provides the store; asked at every call, so that an override in the container is seen at
            once.
    """

    def __init__(self, results_db: Callable[[], ResultsDB]) -> None:
        self._results_db = results_db

    def insert_one(self, item: Mapping[str, Any], *, collection: str) -> str:
        """Store an item, once, and return the id of its record; see `ResultsDB.insert_one`."""
        return self._results_db().insert_one(item, collection=collection)

    def insert_many(self, items: Iterable[Mapping[str, Any]], *, collection: str) -> list[str]:
        """Store many items, each once, and return their ids; see `ResultsDB.insert_many`."""
        return self._results_db().insert_many(items, collection=collection)

    def find(
        self,
        *,
        collection: str,
        query: Mapping[str, Any] | None = None,
        fields: Sequence[str] | None = None,
        sort: SortSpec | None = None,
        limit: int | None = None,
        skip: int = 0,
    ) -> Iterator[dict[str, Any]]:
        """Stream the records that match; see `ResultsDB.find`."""
        return self._results_db().find(
            collection=collection, query=query, fields=fields, sort=sort, limit=limit, skip=skip
        )

    def find_in(
        self,
        collections: Sequence[str],
        *,
        query: Mapping[str, Any] | None = None,
        fields: Sequence[str] | None = None,
        sort: SortSpec | None = None,
        limit: int | None = None,
        skip: int = 0,
    ) -> Iterator[dict[str, Any]]:
        """Stream the records of several collections in one order; see `ResultsDB.find_in`."""
        return self._results_db().find_in(
            collections, query=query, fields=fields, sort=sort, limit=limit, skip=skip
        )

    def find_one(
        self,
        *,
        collection: str,
        query: Mapping[str, Any] | None = None,
        fields: Sequence[str] | None = None,
        sort: SortSpec | None = None,
    ) -> dict[str, Any] | None:
        """Return the first record that matches, or None; see `ResultsDB.find`."""
        return self._results_db().find_one(collection=collection, query=query, fields=fields, sort=sort)

    def find_all(self, *, collection: str) -> Iterator[dict[str, Any]]:
        """Stream all records of a collection in the order of insertion."""
        return self._results_db().find_all(collection=collection)

    def latest(
        self,
        *,
        collection: str,
        query: Mapping[str, Any] | None = None,
        fields: Sequence[str] | None = None,
    ) -> dict[str, Any] | None:
        """Return the record that matches and has the last `date_modified`, or None."""
        return self.find_one(collection=collection, query=query, fields=fields, sort=f"-{DATE_MODIFIED}")

    def count(self, *, collection: str, query: Mapping[str, Any] | None = None) -> int:
        """Return how many records match; see `ResultsDB.count`."""
        return self._results_db().count(collection=collection, query=query)

    def stats(self, *, collection: str) -> CollectionStats:
        """Return what a collection holds; see `ResultsDB.stats`."""
        return self._results_db().stats(collection=collection)

    def delete(self, *, collection: str, query: Mapping[str, Any]) -> int:
        """Delete the records that match and return how many; see `ResultsDB.delete`."""
        return self._results_db().delete(collection=collection, query=query)

    def collections(self, *, of_runs: bool = False) -> list[str]:
        """Return the names of the collections that hold results, sorted.

        Args:
            of_runs: Return those that hold what is kept of runs instead.
        """
        return [name for name in self._results_db().collections() if name.startswith(INTERNAL) is of_runs]

    def configure(self, indices: Mapping[str, Sequence[str]]) -> None:
        """Make queries on some paths fast; see `ResultsDB.configure`."""
        self._results_db().configure(indices)

    def reindex(self) -> Reindexed:
        """Make the indices anew and remove what killed writers left; see `ResultsDB.reindex`."""
        return self._results_db().reindex()

    def to_dataframe(
        self,
        *,
        collection: str,
        query: Mapping[str, Any] | None = None,
        fields: Sequence[str] | None = None,
        sort: SortSpec | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Return the records that match as a table.

        Args:
            collection: As for `find`, as are the others.
            query: A MongoDB filter.
            fields: Dotted paths of the columns to have.
            sort: The order of the rows.
            limit: At most so many rows.

        Returns:
            One row per record. Nested keys are joined by dots, so `outputs.x` and `inputs.x` are two columns.
            No number is rounded: where a record lacks an integer or a boolean, the column is of a nullable
            dtype, as `Int64`, with `<NA>`; else what a record lacks is NaN. An array is one cell, read when
            it is used.
        """
        import pandas as pd

        found = self.find(collection=collection, query=query, fields=fields, sort=sort, limit=limit)
        rows = [flatten(record) for record in found]
        names = column_names(key for row in rows for key in row)
        columns = {name: column_of([row.get(keys, MISSING) for row in rows]) for keys, name in names.items()}
        return pd.DataFrame(columns)
