"""`ResultsDBService` stands in front of whatever store is configured at the moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileResultsDB]:
    with FileResultsDB(tmp_path / "store") as store:
        yield store


def test_it_does_what_the_store_does(store: FileResultsDB) -> None:
    """MDB-1, R-17."""
    service = ResultsDBService(lambda: store)
    first = service.insert_one({"outputs": {"y": 1}}, collection="project")
    ids = service.insert_many(({"outputs": {"y": y}} for y in (1, 2, 3)), collection="project")
    assert ids[0] == first
    service.configure({"project": ["outputs.y"]})
    found = service.find(collection="project", query={"outputs.y": {"$gt": 1}}, sort="-outputs.y", limit=1)
    assert [record["outputs"]["y"] for record in found] == [3]
    assert service.find_one(collection="project", query={"_id": first}, fields=["outputs"]) == {
        "_id": first,
        "outputs": {"y": 1},
    }
    assert [record["_id"] for record in service.find_all(collection="project")] == ids
    assert service.count(collection="project", query={"outputs.y": 2}) == 1
    assert service.collections() == ["project"]
    assert service.delete(collection="project", query={"outputs.y": {"$lt": 3}}) == 2
    assert service.count(collection="project") == 1


def test_latest(store: FileResultsDB) -> None:
    service = ResultsDBService(lambda: store)
    for day in (1, 3, 2):
        service.insert_one({"day": day, "date_modified": datetime(2024, 1, day, tzinfo=UTC)}, collection="p")
    latest = service.latest(collection="p", query={"day": {"$ne": 3}}, fields=["day"])
    assert latest is not None
    assert latest["day"] == 2
    assert service.latest(collection="none") is None


def test_another_store_is_seen_at_once(store: FileResultsDB, tmp_path: Path) -> None:
    stores = [store]
    service = ResultsDBService(lambda: stores[-1])
    service.insert_one({"n": 1}, collection="p")
    with FileResultsDB(tmp_path / "other") as other:
        stores.append(other)
        assert service.collections() == []
        stores.pop()
    assert service.collections() == ["p"]
