"""The `mongodb` store when its server is killed or away, and when others write into its collections."""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gridfs import GridFSBucket
from pymongo import MongoClient
from pymongo.database import Database

from lume_services.errors import (
    BlobCorruptError,
    DecodeError,
    ResultCorruptError,
    ResultsDBError,
    StoreUnavailableError,
)
from lume_services.services.results.mongodb import MongodbResultsDB
from lume_services.services.results.record import Record

_path = Path(__file__).parents[2] / "servers_mongodb.py"
_spec = importlib.util.spec_from_file_location("servers_mongodb", _path)
servers: Any = importlib.util.module_from_spec(_spec)  # type: ignore[arg-type]
_spec.loader.exec_module(servers)  # type: ignore[union-attr]

ARRAY = np.arange(400_000.0)  # three chunks and a bit


@pytest.fixture
def settings() -> dict[str, Any]:
    return {name: value for name, value in servers.settings().items() if name != "type"}


@pytest.fixture
def store(settings: dict[str, Any]) -> Iterator[MongodbResultsDB]:
    with MongodbResultsDB(**settings) as store:
        yield store


@pytest.fixture
def database(settings: dict[str, Any]) -> Iterator[Database[dict[str, Any]]]:
    """The database as another program sees it."""
    with MongoClient(settings["uri"]) as client:
        yield client[settings["database"]]
        client.drop_database(settings["database"])


# records ------------------------------------------------------------------------------------------


def test_what_other_programs_see(store: MongodbResultsDB, database: Database[Any]) -> None:
    when = datetime(2024, 1, 31, tzinfo=UTC)
    item = {"inputs": {"QUAD:LI20:X.VAL": 1.5, "$set": 2, "": 3}, "n": np.int64(4), "date_modified": when}
    record_id = store.insert_one({**item, "image": ARRAY}, collection="my.project")
    assert sorted(database.list_collection_names()) == ["blobs.chunks", "blobs.files", "results.my%2Eproject"]
    found = database["results.my%2Eproject"].find_one({"document.inputs.QUAD:LI20:X.VAL": {"$lt": 2}})
    assert found is not None
    assert found["_id"] == record_id
    assert found["document"]["n"] == 4
    assert found["document"]["inputs"]["%24set"] == 2
    assert found["document"]["image"]["shape"] == [400_000]
    assert GridFSBucket(database, "blobs").open_download_stream_by_name(found["blobs"][0]).read() == (
        ARRAY.tobytes()
    )


def test_the_indices(store: MongodbResultsDB, database: Database[Any]) -> None:
    """MDB-4, MDB-12, MDB-14."""
    store.configure({"p": ["outputs.y", "unique_hash", "date_modified"]})
    indices = database["results.p"].index_information()
    keys = [[name for name, _ in index["key"]] for index in indices.values()]
    assert sorted(keys) == [
        ["_id"],
        ["blobs"],
        ["document.outputs.y", "_id"],
        ["left_out"],
        ["modified", "_id"],
        ["unique_hash"],
    ]
    assert [index["key"] for index in indices.values() if index.get("unique")] == [[("unique_hash", 1)]]


def test_an_index_that_is_gone_is_made_again(store: MongodbResultsDB, database: Database[Any]) -> None:
    store.insert_many([{"n": n} for n in range(5)], collection="p")
    database["results.p"].drop_indexes()
    assert [record["n"] for record in store.find(collection="p", sort="-date_modified")] == [4, 3, 2, 1, 0]
    store.reindex()
    unique = [index for index in database["results.p"].index_information().values() if index.get("unique")]
    assert [index["key"] for index in unique] == [[("unique_hash", 1)]]
    assert store.insert_one({"n": 2}, collection="p") == store.find_one(collection="p", query={"n": 2})["_id"]


def test_a_record_of_another_format(store: MongodbResultsDB, database: Database[Any]) -> None:
    ids = store.insert_many([{"n": n} for n in range(3)], collection="p")
    database["results.p"].update_one({"_id": ids[1]}, {"$set": {"format": 2}})
    database["results.p"].update_one({"_id": ids[2]}, {"$unset": {"format": ""}})
    stream = store.find(collection="p")
    assert [next(stream)["n"], next(stream)["n"]] == [0, 2]
    with pytest.raises(ResultCorruptError, match=f"record {ids[1]} has another format.*version") as caught:
        next(stream)
    assert caught.value.ids == [ids[1]]
    with pytest.raises(ResultCorruptError, match="another format"):
        store.find_one(collection="p", query={"_id": ids[1]})


def test_a_user_who_may_only_read(settings: dict[str, Any], store: MongodbResultsDB) -> None:
    store.insert_one({"n": 1, "array": ARRAY}, collection="p")
    name = f"reader_{settings['database']}"
    with MongoClient(settings["uri"]) as client:
        roles = [{"role": "read", "db": settings["database"]}]
        client[settings["database"]].command("createUser", name, pwd="s3cret", roles=roles)
    host, port = settings["uri"].rpartition("@")[2].partition("/")[0].split(":")
    with MongodbResultsDB(
        host=host,
        port=int(port),
        username=name,
        password="s3cret",
        database=settings["database"],
        options={"authSource": settings["database"]},
    ) as reader:
        [record] = reader.find(collection="p")
        assert np.array_equal(record["array"], ARRAY)
        for write in (
            lambda: reader.insert_one({"n": 2}, collection="p"),
            lambda: reader.delete(collection="p", query={}),
            lambda: reader.configure({"p": ["n"]}),
        ):
            with pytest.raises(ResultsDBError, match="may not do this.*readWrite") as caught:
                write()
            assert "s3cret" not in str(caught.value)
    assert store.count(collection="p") == 1


def test_data_that_was_there_before_the_index(store: MongodbResultsDB, database: Database[Any]) -> None:
    first = store.insert_one({"unique_hash": "h"}, collection="p")
    store.close()
    database["results.p"].drop_indexes()
    assert store.insert_one({"unique_hash": "h"}, collection="p") == first
    store.close()
    database["results.p"].drop_indexes()
    database["results.p"].insert_one({**(database["results.p"].find_one() or {}), "_id": "copy"})
    with pytest.raises(ResultsDBError, match="have the same unique_hash") as caught:
        store.insert_one({"n": 1}, collection="p")
    assert "results.p" in str(caught.value)
    store.insert_one({"n": 1}, collection="q")


def test_a_record_of_many_medium_arrays(store: MongodbResultsDB, database: Database[Any]) -> None:
    """MDB-11: 25 MB, each array below the threshold."""
    arrays = [np.full(8000, n, float) for n in range(400)]
    record_id = store.insert_one({"arrays": arrays, "n": 1}, collection="p")
    record = store.find_one(collection="p", query={"n": 1})
    assert record is not None
    assert all(np.array_equal(a, b) for a, b in zip(record["arrays"], arrays, strict=True))
    database["blobs.chunks"].update_one({"n": 2}, {"$set": {"data": b"x" * (1 << 20)}})
    with pytest.raises(ResultCorruptError, match=record_id):
        store.find_one(collection="p")
    assert store.delete(collection="p", query={"_id": record_id}) == 1
    assert database["blobs.chunks"].find_one() is None


def test_what_mongodb_cannot_search_is_found_all_the_same(store: MongodbResultsDB) -> None:
    deep: Any = 7
    for _ in range(150):
        deep = {"k": deep}
    items: list[dict[str, Any]] = [
        {"deep": deep},
        {"long": list(range(5000))},
        {"text": "x" * 1000},
        {"a": 1, "a.b": {"c": 2}},
        {"a": {"b": {"c": [1, 2]}}, "a.b": [3]},
        {"a..b": 5, ".": 6, "nul\0": 7},
        {"big": {f"key{n}": "v" * 200 for n in range(9000)}, "y": 8},
    ]
    store.insert_many(({"unique_hash": str(n), **item} for n, item in enumerate(items)), collection="p")
    for query, expected in {
        ".".join(["deep"] + ["k"] * 150): (7, "0"),
        "long": (4321, "1"),
        "text": ("x" * 1000, "2"),
        "a.b.c": (2, "3 4"),
        "a": (1, "3"),
        "a.b": (3, "4"),
        "a..b": (5, "5"),
        ".": (6, "5"),
        "nul\0": (7, "5"),
        "y": (8, "6"),
    }.items():
        value, hashes = expected
        found = store.find(collection="p", query={query: value}, fields=["unique_hash"])
        assert [record["unique_hash"] for record in found] == hashes.split(), query


def test_a_big_array_needs_little_memory(store: MongodbResultsDB) -> None:
    image = np.random.default_rng(1).normal(size=(3000, 1000))  # 24 MB
    store.configure({"p": []})
    tracemalloc.start()
    store.insert_one({"image": image}, collection="p")
    _, peak = tracemalloc.get_traced_memory()
    assert peak < 1.5 * image.nbytes  # besides the array itself
    record = store.find_one(collection="p")
    assert record is not None
    gc.collect()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    assert np.array_equal(record["image"][10:20], image[10:20])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < image.nbytes / 4
    assert not record["image"].loaded


# blobs --------------------------------------------------------------------------------------------


def blobs(database: Database[Any]) -> tuple[int, int]:
    return database["blobs.files"].count_documents({}), database["blobs.chunks"].count_documents({})


def test_deleting_leaves_no_orphan(store: MongodbResultsDB, database: Database[Any]) -> None:
    ids = [store.insert_one({"n": n, "array": ARRAY}, collection=f"p{n}") for n in range(2)]
    assert blobs(database) == (1, 4)
    store.delete(collection="p0", query={"_id": ids[0]})
    assert blobs(database) == (1, 4)
    store.delete(collection="p1", query={})
    assert blobs(database) == (0, 0)


def test_a_failed_insert_leaves_no_orphan(
    store: MongodbResultsDB, database: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.insert_one({"n": 0}, collection="p")

    def refuse(*_: Any) -> dict[str, str]:
        raise ResultsDBError("refused")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_insert_once", refuse)
        with pytest.raises(ResultsDBError, match="refused"):
            store.insert_one({"array": ARRAY}, collection="p")
    assert blobs(database) == (0, 0)
    store.insert_one({"unique_hash": "h", "array": ARRAY}, collection="p")
    store.insert_one({"unique_hash": "h", "array": ARRAY + 1}, collection="p")  # superseded
    assert blobs(database) == (1, 4)


def test_reindex_removes_what_killed_processes_left(store: MongodbResultsDB, database: Database[Any]) -> None:
    store.insert_many([{"array": ARRAY}, {"array": ARRAY + 1}, {"array": ARRAY + 2}], collection="p")
    files = [file["_id"] for file in database["blobs.files"].find()]
    database["results.p"].delete_one({})  # a deleter killed after its first step
    database["blobs.files"].delete_one({"_id": files[-1]})  # and one after its second
    assert store.reindex().removed == 2
    now = datetime.now(UTC)
    for age, removed in ((timedelta(minutes=50), 0), (timedelta(hours=2), 1)):
        pin = {"by": "a killed writer", "at": now - age}
        database["blobs.files"].update_many({}, {"$set": {"pins": [pin]}})
        database["results.p"].update_many({}, {"$unset": {"blobs": ""}})
        assert store.reindex().removed == removed
    assert blobs(database) == (0, 0)


def test_storing_it_again_heals_a_truncated_blob(store: MongodbResultsDB, database: Database[Any]) -> None:
    store.insert_one({"n": 0, "array": ARRAY}, collection="p")
    database["blobs.chunks"].delete_one({"n": 1})
    [record] = store.find(collection="p")
    with pytest.raises(BlobCorruptError, match="missing in part"):
        record["array"].sum()
    store.insert_one({"n": 1, "array": ARRAY}, collection="p")
    assert all(np.array_equal(record["array"], ARRAY) for record in store.find(collection="p"))


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("blobs.chunks", {"$set": {"data": b"x" * 1_048_576}}),
        ("blobs.chunks", {"$set": {"data": b"x"}}),
        ("blobs.chunks", {"$set": {"data": "text"}}),
        ("blobs.chunks", {"$set": {"n": 77}}),
        ("blobs.files", {"$set": {"length": 1}}),
        ("blobs.files", {"$set": {"length": 2**62}}),
        ("blobs.files", {"$set": {"length": "x"}}),
        ("blobs.files", {"$set": {"metadata": None}}),
        ("blobs.files", {"$set": {"filename": "x"}}),
    ],
)
def test_a_damaged_blob_is_an_error_never_wrong_numbers(
    store: MongodbResultsDB, database: Database[Any], where: str, change: dict[str, Any]
) -> None:
    record_id = store.insert_one({"n": 1, "array": ARRAY}, collection="p")
    store.insert_one({"n": 2}, collection="p")
    assert database[where].update_one({}, change).modified_count == 1
    stream = store.find(collection="p", sort="-n")
    assert next(stream)["n"] == 2
    with pytest.raises(BlobCorruptError) as caught:
        np.asarray(next(stream)["array"])
    assert record_id in str(caught.value)
    assert store._server.where in str(caught.value)


# what others write into the collections -----------------------------------------------------------


class Boom:
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (66,)


def stored(item: dict[str, Any]) -> dict[str, Any]:
    record = Record.of(item, "poison", threshold=1 << 20)
    return {"text": record.text, "digest": record.digest, "document": {}, "modified": -1}


POISON: dict[str, dict[str, Any]] = {
    "a pickle as the text": {"text": pickle.dumps(Boom()), "digest": b"", "modified": 1},
    "a document of the predecessor": {"inputs": {"a": pickle.dumps(Boom(), 2)}, "outputs": {"y": 1}},
    "a wrong digest": {**stored({"a": 1}), "digest": b"x" * 32},
    "other types": {"text": 3, "digest": [None], "modified": 5, "body": {"x": 1}},
    "a body that is not there": {"body": "../x", "digest": b"", "modified": 5},
    "no date": {**stored({"a": 1}), "digest": b"", "modified": None},
}


@pytest.mark.parametrize("with_id", [True, False])
@pytest.mark.parametrize("poison", POISON)
def test_a_poisoned_document_is_refused_by_name(
    store: MongodbResultsDB, database: Database[Any], poison: str, with_id: bool
) -> None:
    """MDB-6, MDB-17."""
    ids = store.insert_many([{"n": 0}, {"n": 1}], collection="p")
    named = {"_id": "00poison"} if with_id else {}
    bad = str(
        database["results.p"].insert_one({**POISON[poison], "unique_hash": "poison", **named}).inserted_id
    )
    for sort in (None, "date_modified", "-date_modified", "n"):
        found = []
        with pytest.raises(ResultCorruptError, match=f"record {bad} is damaged") as caught:
            found.extend(record["_id"] for record in store.find(collection="p", sort=sort))
        assert store._server.where in str(caught.value)
    stream = store.find(collection="p")
    assert [next(stream)["_id"], next(stream)["_id"]] == ids
    assert store.count(collection="p", query={"_id": ids[0]}) == 1
    with pytest.raises(ResultCorruptError):
        store.find_one(collection="p", query={"unique_hash": "poison"})
    assert store.delete(collection="p", query={"_id": bad}) == 1
    assert [record["_id"] for record in store.find(collection="p")] == ids


def test_a_forged_record(store: MongodbResultsDB, database: Database[Any]) -> None:
    """With a right digest: its content is still only data."""
    store.insert_one({"n": 0}, collection="p")
    for text in (
        '{"a":{"$type":"os.system","value":"true"}}',
        '{"a":{"$type":"blob","digest":"../x","nbytes":1}}',
        "[" * 100_000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        "!!python/object/apply:os.system [true]",
    ):
        digest = hashlib.sha256(text.encode()).digest()
        forged = {"_id": "f", "unique_hash": "f", "text": text.encode(), "digest": digest, "modified": 1}
        database["results.p"].insert_one(forged)
        with pytest.raises((ResultCorruptError, DecodeError), match="record f"):
            store.find_one(collection="p", query={"_id": "f"})
        database["results.p"].delete_one({"_id": "f"})
    assert [record["n"] for record in store.find(collection="p")] == [0]


def test_a_changed_value_is_seen(store: MongodbResultsDB, database: Database[Any]) -> None:
    """MDB-17."""
    record_id = store.insert_one({"outputs": {"y": 1}}, collection="p")
    text = (database["results.p"].find_one() or {})["text"].replace(b'"y":1', b'"y":999')
    database["results.p"].update_one({"_id": record_id}, {"$set": {"text": text}})
    with pytest.raises(ResultCorruptError, match="does not match its digest"):
        list(store.find(collection="p"))


# clients ------------------------------------------------------------------------------------------


def fds_and_threads() -> tuple[int, int]:
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def no_more_than(before: tuple[int, int]) -> bool:
    """Tell whether nothing is open that was not; clients of earlier tests may still be ending."""
    return all(now <= then for now, then in zip(fds_and_threads(), before, strict=True))


def test_one_client_for_all_calls(store: MongodbResultsDB) -> None:
    """MDB-12."""
    store.insert_one({"n": -1}, collection="p")
    before = fds_and_threads()
    for n in range(30):
        store.insert_one({"n": n}, collection="p")
        list(store.find(collection="p", limit=3))
    assert no_more_than(before)


def test_a_fork_has_a_client_of_its_own(store: MongodbResultsDB) -> None:
    """MDB-13."""
    store.insert_one({"n": 0}, collection="p")
    child = os.fork()
    if not child:
        try:
            store.insert_one({"n": 1}, collection="p")
            before = fds_and_threads()
            for n in range(20):
                store.insert_one({"n": n}, collection="p")
            grown = not no_more_than(before)
            store.close()
            os._exit(grown)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert store.count(collection="p") == 20


def test_closing_leaves_nothing_open(settings: dict[str, Any], store: MongodbResultsDB) -> None:
    store.insert_one({"n": 0}, collection="p")
    before = fds_and_threads()
    for _ in range(3):
        other = MongodbResultsDB(**settings)
        assert other.count(collection="p") == 1
        other.close()
        other.close()
        assert other.count(collection="p") == 1
        other.close()
    deadline = time.monotonic() + 5
    while not no_more_than(before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert no_more_than(before)


# servers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [lambda s: s.count(collection="p"), lambda s: s.collections()])
def test_a_server_that_is_away(read: Callable[[MongodbResultsDB], Any]) -> None:
    uri = "mongodb://someone:s3cret@127.0.0.1:9/?authSource=admin"
    store = MongodbResultsDB(uri=uri, timeout_seconds=0.5)
    for use in (read, lambda s: s.insert_one({"array": ARRAY}, collection="p")):
        start = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="cannot be reached") as caught:
            use(store)
        assert time.monotonic() - start < 2
        assert isinstance(caught.value, ConnectionError)
        assert "mongodb://127.0.0.1:9/lume_services" in str(caught.value)
        shown = f"{caught.value!r} {caught.value.__cause__!r} {store!r} {vars(caught.value)}"
        assert "s3cret" not in shown
        assert "someone" not in shown


def test_a_wrong_password(settings: dict[str, Any]) -> None:
    address = settings["uri"].rpartition("@")[2].partition("/")[0]
    host, port = address.split(":")
    store = MongodbResultsDB(
        host=host, port=int(port), username=servers.USER, password="wr0ng", options={"authSource": "admin"}
    )
    with store, pytest.raises(ResultsDBError, match="does not accept the user or the password") as caught:
        store.insert_one({"n": 1}, collection="p")
    assert not isinstance(caught.value, StoreUnavailableError)
    assert "wr0ng" not in repr(caught.value)


def test_user_and_password(settings: dict[str, Any]) -> None:
    """MDB-15: or no user at all, or a connection string."""
    if servers.QUOTED not in settings["uri"]:
        pytest.skip("for the server that the tests start")
    host, port = settings["uri"].rpartition("@")[2].partition("/")[0].split(":")
    with MongodbResultsDB(
        host=host,
        port=int(port),
        username=servers.USER,
        password=servers.PASSWORD,
        authmechanism="SCRAM-SHA-256",
        database=settings["database"],
        options={"authSource": "admin"},
    ) as store:
        store.insert_one({"n": 1}, collection="p")
        assert store.count(collection="p") == 1
    with MongodbResultsDB(host=host, port=int(port)) as store, pytest.raises(ResultsDBError, match="may not"):
        store.insert_one({"n": 1}, collection="p")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("mongodb://user:s3cret@a.b:1,[::1]:2/db?authSource=x@y", "mongodb://a.b:1,[::1]:2/"),
        ("mongodb+srv://user:s3cret@cluster.example.org", "mongodb://cluster.example.org/"),
        ("mongodb://user:s3cret?x@host", "mongodb://…/"),
        ("mongodb://h/?appName=a@b&tlsCertificateKeyFilePassword=s3cret", "mongodb://…/"),
    ],
)
def test_only_the_hosts_of_a_connection_string_are_shown(uri: str, shown: str) -> None:
    assert repr(MongodbResultsDB(uri=uri)) == f"MongodbResultsDB('{shown}lume_services')"


@pytest.mark.parametrize(
    "changed",
    [
        {"uri": "mongodb://user:s3cr/et@host"},
        {"uri": "mongodb://user:s3cr@et:x@host:port"},
        {"uri": "http://user:s3cret@host"},
        {"options": {"no_such_option": 1}, "password": "s3cret", "username": "u"},
        {"authmechanism": "NONE", "password": "s3cret", "username": "u"},
        {"options": {"tls": "maybe"}},
    ],
)
def test_settings_that_are_not_valid(changed: dict[str, Any]) -> None:
    with pytest.raises(ResultsDBError) as caught:
        MongodbResultsDB(**changed).collections()
    for part in ("s3cr", "et@", "x@"):
        assert part not in str(caught.value)
    assert caught.value.__cause__ is None


def test_options_are_stronger_than_the_defaults() -> None:
    def concern(**changed: Any) -> tuple[Any, int | float]:
        with MongodbResultsDB(**changed) as store:
            client = store._server._connected().client
            return client.write_concern.document, client.options.server_selection_timeout

    assert concern() == ({"w": "majority", "j": True}, 10)
    assert concern(timeout_seconds=3)[1] == 3
    assert concern(options={"w": 1, "serverSelectionTimeoutMS": 2000}) == ({"w": 1, "j": True}, 2)
    uri = "mongodb://h/?w=2&journal=false&SERVERSELECTIONTIMEOUTMS=4000"
    assert concern(uri=uri) == ({"w": 2, "j": False}, 4)


WRITE = """
import itertools, numpy as np
[name] = arguments
for n in itertools.count():
    items = [{"unique_hash": f"{name}-{n}-{k}", "array": np.full(10_000, n + k)} for k in range(1 + n % 3)]
    store.insert_many(items, collection="p")
    print(*(item["unique_hash"] for item in items), sep="\\n", flush=True)
"""


def test_kill_9_of_the_server_loses_nothing_and_writers_go_on(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = servers.own_server()
    request.addfinalizer(server.remove)
    settings = {"uri": server.uri, "database": "d", "timeout_seconds": 20}
    code = (
        "import json, sys\nfrom lume_services.services.results.mongodb import MongodbResultsDB\n"
        "store = MongodbResultsDB(**json.loads(sys.argv[1]))\narguments = sys.argv[2:]\n" + WRITE
    )
    logs = [tmp_path / f"writer{number}" for number in range(3)]
    writers = []
    for number, log in enumerate(logs):
        command = [sys.executable, "-c", code, json.dumps(settings), str(number)]
        with log.open("wb") as output:
            writers.append(subprocess.Popen(command, stdout=output))

    def told() -> list[set[str]]:
        return [set(log.read_text().rpartition("\n")[0].split()) for log in logs]

    def progress(than: list[int], seconds: float = 30) -> list[int]:
        deadline = time.monotonic() + seconds
        while any(len(some) <= count for some, count in zip(told(), than, strict=True)):
            assert time.monotonic() < deadline, "a writer does not go on"
            assert all(writer.poll() is None for writer in writers), "a writer ended"
            time.sleep(0.05)
        return [len(some) for some in told()]

    counts = progress([0, 0, 0])
    for _ in range(4):
        time.sleep(0.3)
        server.kill()
        counts = [len(some) for some in told()]
        server.start()
        counts = progress([count + 5 for count in counts])
    for writer in writers:
        writer.kill()
        writer.wait()
    with MongodbResultsDB(**settings) as store:
        found = {}
        for record in store.find_all(collection="p"):
            _, n, k = record["unique_hash"].split("-")
            assert np.array_equal(record["array"], np.full(10_000, int(n) + int(k)))
            found[record["unique_hash"]] = record
        assert set().union(*told()) <= found.keys()
        store.delete(collection="p", query={})
    with MongoClient(server.uri) as client:
        client["d"]["blobs.files"].update_many({}, {"$set": {"pins": []}})  # those of the killed writers
        with MongodbResultsDB(**settings) as store:
            store.reindex()
        assert blobs(client["d"]) == (0, 0)


def test_a_stream_goes_on_after_the_server_was_restarted(request: pytest.FixtureRequest) -> None:
    server = servers.own_server()
    request.addfinalizer(server.remove)
    with MongodbResultsDB(uri=server.uri, database="d") as store:
        store.insert_many(({"n": n} for n in range(500)), collection="p")
        stream = store.find_all(collection="p")
        assert next(stream)["n"] == 0
        server.kill()
        server.start()
        assert [record["n"] for record in stream] == list(range(1, 500))
