"""Faults around a store: the clock goes back, locks are refused, its index, log or folder is gone."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lume_services.errors import LUMEServicesError, ResultsDBError
from lume_services.services.results import ResultsDB

in_a_folder = pytest.mark.parametrize("store_settings", ["file", "hdf5"], indirect=True)


def test_the_clock_goes_back_between_inserts(store: ResultsDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each result is stored once, and the order by time is the same at each reading."""
    ids = [store.insert_one({"n": n}, collection="p") for n in range(3)]
    real, real_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() - 86_400 * 10**9)
    early = [store.insert_one({"n": n}, collection="p") for n in range(6)]
    assert early[:3] == ids
    assert len(set(early)) == 6
    orders = [[record["n"] for record in store.find(collection="p", sort="date_modified")] for _ in range(3)]
    assert sorted(orders[0]) == list(range(6))
    assert orders[0] == orders[1] == orders[2]


def test_results_of_one_moment_have_one_order(store: ResultsDB, open_store: Callable[..., ResultsDB]) -> None:
    """A clock that stands still, or shows one moment twice, makes no order by chance."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(20):
        store.insert_one({"n": n, "date_modified": moment}, collection="p")
    first = [record["n"] for record in store.find(collection="p", sort="date_modified")]
    assert sorted(first) == list(range(20))
    assert [record["n"] for record in open_store().find(collection="p", sort="date_modified")] == first


def test_threads_and_asyncio_on_one_store(store: ResultsDB) -> None:
    """Tasks and threads that store the same are all given the same id."""

    async def insert_all() -> list[str]:
        async def insert(n: int) -> str:
            await asyncio.sleep(0)
            if n % 2:
                return await asyncio.to_thread(store.insert_one, {"n": n // 4}, collection="p")
            return store.insert_one({"n": n // 4}, collection="p")

        return await asyncio.gather(*(insert(n) for n in range(80)))

    ids: list[str] = []
    threads = [threading.Thread(target=lambda: ids.extend(asyncio.run(insert_all()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ids) == 240
    assert {record["_id"] for record in store.find_all(collection="p")} == set(ids)
    assert store.count(collection="p") == 20


@in_a_folder
@pytest.mark.parametrize("how", ["-wal", "-shm", "all", "cut", "empty"])
def test_a_closed_store_lost_its_index_or_log(
    store: ResultsDB, store_settings: dict[str, Any], open_store: Callable[..., ResultsDB], how: str
) -> None:
    """The true answer, or an error of ours; what was stored in HDF5 files is found after `reindex`."""
    folder = Path(store_settings["path"])
    store.insert_many([{"n": n} for n in range(5)], collection="p")
    store.close()
    for database in folder.rglob("*.sqlite"):
        for part in ("-wal", "-shm") if how == "all" else (how,) if how.startswith("-") else ():
            Path(f"{database}{part}").unlink(missing_ok=True)
        if how == "all":
            database.unlink()
        elif how in ("cut", "empty"):
            os.truncate(database, database.stat().st_size // 2 if how == "cut" else 0)
    again = open_store()
    try:
        found = sorted(record["n"] for record in again.find(collection="p"))
    except LUMEServicesError:
        found = None
    if store_settings["type"] == "hdf5":
        if how == "empty":  # a file of another program is left alone: the error says to move it away
            with pytest.raises(ResultsDBError, match="Move it away"):
                again.reindex()
            (folder / "index.sqlite").unlink()
        again.reindex()
        assert sorted(record["n"] for record in again.find(collection="p")) == list(range(5))
    elif how.startswith("-"):
        assert found == list(range(5))
    elif how in ("cut", "empty"):
        assert found is None


@in_a_folder
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks(
    store: ResultsDB, store_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The error says what to do; with locks the same store works."""

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        with pytest.raises(ResultsDBError, match="cannot be locked") as caught:
            store.insert_one({"n": 1}, collection="p")
    assert store_settings["path"] in str(caught.value)
    assert "Mount its file system with locks" in str(caught.value)
    store.insert_one({"n": 1}, collection="p")
    assert store.count(collection="p") == 1


@in_a_folder
def test_a_folder_is_moved_or_made_new_while_open(
    store: ResultsDB, store_settings: dict[str, Any], open_store: Callable[..., ResultsDB]
) -> None:
    """What is acknowledged is where the settings say."""
    folder = Path(store_settings["path"])
    store.insert_one({"n": 0}, collection="p")
    folder.rename(folder.with_name("moved"))
    store.insert_one({"n": 0}, collection="p")
    assert [record["n"] for record in open_store().find(collection="p")] == [0]
    shutil.rmtree(folder)
    folder.mkdir()
    store.insert_one({"n": 1}, collection="p")
    assert [record["n"] for record in store.find(collection="p")] == [1]
    assert [record["n"] for record in open_store().find(collection="p")] == [1]
