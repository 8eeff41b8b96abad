"""Records by another hand, in the `file` and the `mongodb` store: refused by name, and nothing runs.

Each record here has the right digest, so that only what it says can give it away.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import servers_mongodb
from bson import Binary
from pymongo import MongoClient

from lume_services.errors import LUMEServicesError, ResultCorruptError, ResultsDBError
from lume_services.results import Result, copy_results
from lume_services.services.results import ResultsDB, ResultsDBService
from lume_services.services.results.file import FileResultsDB

Tamper = Callable[[str, bytes], None]


@pytest.fixture(params=["file", "mongodb"])
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The settings of a new, empty store, of a kind whose records are text."""
    if request.param == "mongodb":
        return servers_mongodb.settings()
    return {"type": "file", "path": str(tmp_path / "store")}


@pytest.fixture
def tamper(store: ResultsDB, store_settings: dict[str, Any]) -> Tamper:
    """Replaces the text of a record, and its digest."""

    def in_file(record_id: str, text: bytes) -> None:
        with sqlite3.connect(Path(store_settings["path"]) / "results.sqlite") as connection:
            digest = hashlib.sha256(text).digest()
            connection.execute(
                "UPDATE records SET document = ?, digest = ? WHERE id = ?", (text, digest, record_id)
            )
        connection.close()

    def in_mongodb(record_id: str, text: bytes) -> None:
        with MongoClient(store_settings["uri"]) as client:
            fields = {"text": Binary(text), "digest": Binary(hashlib.sha256(text).digest())}
            records = client[store_settings["database"]]["results.p"]
            assert records.update_one({"_id": record_id}, {"$set": fields}).matched_count == 1

    return {"file": in_file, "mongodb": in_mongodb}[store_settings["type"]]


class Boom:
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (66,)


def nested(depth: int) -> bytes:
    return b'{"n":' * depth + b"1" + b"}" * depth


def array(**changed: Any) -> dict[str, Any]:
    parts = {"$type": "ndarray", "dtype": "<f8", "shape": [1], "data": {"$bytes": "AAAAAAAA8D8="}}
    return {**parts, **changed}


POISON: dict[str, Any] = {
    "a function to import": {"$type": "os:system", "value": "true"},
    "a function to import, beside": {"$types": {"x": {"$type": "builtins.eval"}}, "x": "1"},
    "a class to import": {"$type": "subprocess.Popen", "args": ["true"]},
    "a kind of several parts": {"$type": "pandas.DataFrame", "value": "x"},
    "a kind that is no text": {"$type": ["os", "system"]},
    "types that are none": {"$types": ["os:system"], "x": 1},
    "an array of objects": array(dtype="|O"),
    "an array of a dtype to evaluate": array(dtype="f8,(__import__('os').system('true'),)f8"),
    "an array larger than its bytes": array(shape=[1 << 40]),
    "an array with a huge shape": array(shape=[1 << 62, 1 << 62]),
    "an array of elements as large as memory": array(dtype="<U999999999"),
    "an array of less than nothing": array(shape=[-1]),
    "text without its bytes": {"$type": "ndarray", "dtype": {"coerce": True, "missing": None}, "shape": [9]},
    "a blob of another place": array(data={"$type": "blob", "digest": "../../results.sqlite", "nbytes": 8}),
    "a blob that is not there": array(data={"$type": "blob", "digest": "ab" * 32, "nbytes": 8}),
    "a blob that is no text": array(data={"$type": "blob", "digest": 5, "nbytes": 8}),
    "bytes that are no base64": {"$bytes": "%%%"},
    "a number that is none": {"$float": "1.0"},
    "a date that is none": {"$datetime": "yesterday"},
    "a dict that is none": {"$dict": [[1, 2]]},
}  # fmt: skip
TEXTS: dict[str, bytes] = {
    **{
        name: json.dumps({"unique_hash": "h", "n": 1, "x": poison}).encode()
        for name, poison in POISON.items()
    },
    "1000 levels": nested(1000),
    "100 000 levels": nested(100_000),
    "a list of 100 000 levels": b"[" * 100_000 + b"]" * 100_000,
    "a pickle": pickle.dumps(Boom()),
    "no mapping": b"[1]",
    "no JSON": b"{",
    "no text": b"\xff\xfe",
    "NaN as others write it": b'{"x":NaN}',
    "a number of more than 64 bits": b'{"x":9223372036854775808}',
    "a number of very many digits": b'{"x":' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_poisoned_record_is_refused_by_name_and_the_others_are_read(
    store: ResultsDB, tamper: Tamper, tmp_path: Path, text: bytes
) -> None:
    ids = store.insert_many([{"n": n, "array": np.arange(9000.0)} for n in range(3)], collection="p")
    tamper(ids[1], text)
    for reader in (store.find(collection="p"), store.find(collection="p", sort="n")):
        found = []
        with pytest.raises(LUMEServicesError) as caught:  # noqa: PT012
            for record in reader:
                found.append(record["n"])
        assert found == [0, 2]
        assert ids[1] in str(caught.value)
        assert len(str(caught.value)) < 2000
    with FileResultsDB(tmp_path / "copy") as copy:
        source, target = (ResultsDBService(lambda opened=opened: opened) for opened in (store, copy))
        with pytest.raises(LUMEServicesError, match=ids[1]):
            copy_results(source, target, "p")
        assert copy.count(collection="p") == 2
    assert list(store.reindex().damaged) in ([ids[1]], [])
    assert store.delete(collection="p", query={"_id": ids[1]}) == 1
    assert [record["n"] for record in store.find(collection="p")] == [0, 2]


def test_text_that_other_readers_would_run_stays_text(store: ResultsDB) -> None:
    texts = [
        "!!python/object/apply:os.system [true]",
        "__import__('os')",
        "${jndi:ldap://x}",
        "cos\nsystem\n.",
    ]
    item = {"texts": texts, "pickle": pickle.dumps(Boom(), 2), "$where": "sleep(1)", "$type": "os:system"}
    with pytest.raises(ResultsDBError, match=r"cannot have the key '\$type'"):
        store.insert_one(item, collection="p")
    item.pop("$type")
    store.insert_one({"outputs": {**item, "$type": "os:system"}}, collection="p")
    found = store.find_one(collection="p")
    assert found is not None
    assert found["outputs"] == {**item, "$type": "os:system"}


def test_a_record_written_by_hand(store: ResultsDB, tamper: Tamper) -> None:
    """What is a document is a record, whoever wrote it; it is no `Result` if it does not say so."""
    [record_id] = store.insert_many([{"n": 1}], collection="p")
    tamper(record_id, b' {"note": "by hand",\n  "n": 5} ')
    assert store.find_one(collection="p", query={"n": {"$gte": 0}}) is not None
    service = ResultsDBService(lambda: store)
    assert service.to_dataframe(collection="p")["note"].tolist() == ["by hand"]
    with pytest.raises(ResultCorruptError, match="this is no Result") as caught:
        list(Result.find("p", results_db_service=service))
    assert caught.value.ids == [record_id]


def test_a_record_of_another_collection_and_hash_is_not_found_by_it(store: ResultsDB, tamper: Tamper) -> None:
    ids = store.insert_many([{"n": n, "unique_hash": f"h{n}"} for n in range(2)], collection="p")
    tamper(ids[0], b'{"n":7,"unique_hash":"h7"}')
    assert store.find_one(collection="p", query={"unique_hash": "h0"}) is None
    found = store.find_one(collection="p", query={"_id": ids[0]})
    assert found is not None
    assert found["unique_hash"] == "h7"
