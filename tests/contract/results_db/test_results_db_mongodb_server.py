"""The `mongodb` store when its server is killed or away, and its clients."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import servers_mongodb as servers
from pymongo import MongoClient

from lume_services.errors import (
    ResultsDBError,
    StoreUnavailableError,
)
from lume_services.services.results.mongodb import MongodbResultsDB

ARRAY = np.arange(400_000.0)  # three chunks and a bit


@pytest.fixture
def store(mongodb_settings: dict[str, Any]) -> Iterator[MongodbResultsDB]:
    with MongodbResultsDB(**mongodb_settings) as store:
        yield store


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


def test_closing_leaves_nothing_open(mongodb_settings: dict[str, Any], store: MongodbResultsDB) -> None:
    store.insert_one({"n": 0}, collection="p")
    before = fds_and_threads()
    for _ in range(3):
        other = MongodbResultsDB(**mongodb_settings)
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


def test_a_wrong_password(mongodb_settings: dict[str, Any]) -> None:
    address = mongodb_settings["uri"].rpartition("@")[2].partition("/")[0]
    host, port = address.split(":")
    store = MongodbResultsDB(
        host=host, port=int(port), username=servers.USER, password="wr0ng", options={"authSource": "admin"}
    )
    with store, pytest.raises(ResultsDBError, match="does not accept the user or the password") as caught:
        store.insert_one({"n": 1}, collection="p")
    assert not isinstance(caught.value, StoreUnavailableError)
    assert "wr0ng" not in repr(caught.value)


def test_user_and_password(mongodb_settings: dict[str, Any]) -> None:
    """MDB-15: or no user at all, or a connection string."""
    if servers.QUOTED not in mongodb_settings["uri"]:
        pytest.skip("for the server that the tests start")
    host, port = mongodb_settings["uri"].rpartition("@")[2].partition("/")[0].split(":")
    with MongodbResultsDB(
        host=host,
        port=int(port),
        username=servers.USER,
        password=servers.PASSWORD,
        authmechanism="SCRAM-SHA-256",
        database=mongodb_settings["database"],
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


KILLS = max(4, int(os.environ.get("LUME_TEST_KILLS", "20")) // 10)

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

    dice = random.Random(9)
    counts = progress([0, 0, 0])
    for _ in range(KILLS):
        time.sleep(dice.uniform(0, 0.4))
        server.kill()
        counts = [len(some) for some in told()]
        server.start()
        counts = progress([count + 5 for count in counts])
    for writer in writers:
        writer.kill()
        writer.wait()
    with MongodbResultsDB(**settings) as store, MongoClient(server.uri) as client:
        database = client["d"]
        database["blobs.files"].update_many({}, {"$set": {"pins": []}})  # as after an hour
        files, chunks = (len(database[name].distinct("_id")) for name in ("blobs.files", "blobs.chunks"))
        found = store.reindex()
        stored = {}
        for record in store.find_all(collection="p"):
            _, n, k = record["unique_hash"].split("-")
            assert np.array_equal(record["array"], np.full(10_000, int(n) + int(k)))
            stored[record["unique_hash"]] = int(n) + int(k)
        assert set().union(*told()) <= stored.keys()
        assert found.damaged == {}
        assert database["blobs.files"].count_documents({}) == len(set(stored.values()))
        assert database["blobs.chunks"].count_documents({}) == len(set(stored.values()))
        if found.removed == 0:
            assert files == chunks == len(set(stored.values()))
        store.delete(collection="p", query={})
        assert database["blobs.files"].count_documents({}) == 0
        assert database["blobs.chunks"].count_documents({}) == 0


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


def test_a_full_disk_of_the_server(request: pytest.FixtureRequest) -> None:
    """Its engine gives up then, as that of MongoDB does; it is an error, and nothing acknowledged is lost."""
    server = servers.own_server()
    request.addfinalizer(server.remove)
    with MongodbResultsDB(uri=server.uri, database="d", timeout_seconds=5) as store:
        store.configure({"p": []})
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (12 << 20, resource.RLIM_INFINITY))
        told = []

        def fill() -> None:
            for n in range(100):
                array = np.random.default_rng(n).normal(size=300_000)
                told.append((n, store.insert_one({"n": n, "array": array}, collection="p")))

        with pytest.raises(ResultsDBError, match="its disk is (not )?full") as caught:
            fill()
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        assert len(told) > 2

        server.stop()
        server.start()
        assert store.reindex().damaged == {}
        found = {record["n"]: record for record in store.find_all(collection="p")}
        for n, record_id in told:
            assert found[n]["_id"] == record_id
            assert np.array_equal(found[n]["array"], np.random.default_rng(n).normal(size=300_000))
        assert len(found) - len(told) in {0, 1}  # the last one may be there, though it was not told
        again = {"n": len(told), "array": np.random.default_rng(len(told)).normal(size=300_000)}
        store.insert_one(again, collection="p")
        assert store.count(collection="p") == len(told) + 1
