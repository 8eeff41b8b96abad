"""Every store keeps its promises to many processes and threads, across forks and `kill -9`.

The numbers are those that take some seconds. Set LUME_TEST_PROCESSES=16, LUME_TEST_INSERTS=1000 and
LUME_TEST_KILLS=200 for a thorough run, which takes minutes.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lume_services.services.results import ResultsDB

PROCESSES = int(os.environ.get("LUME_TEST_PROCESSES", "8"))
INSERTS = int(os.environ.get("LUME_TEST_INSERTS", "200"))
KILLS = int(os.environ.get("LUME_TEST_KILLS", "20"))

# Half of the results are the same in all processes. What is told to be stored is printed.
INSERT = """
number, count = map(int, arguments)
for n in range(count):
    same = n % 2 == 0
    unique_hash = f"shared{n}" if same else f"own{number}-{n}"
    print(unique_hash, store.insert_one({"unique_hash": unique_hash, "by": number}, collection="p"))
"""

# Small results, batches, and arrays beside the record.
INSERT_UNTIL_KILLED = """
import itertools, numpy as np
[name] = arguments
print("ready", flush=True)
for n in itertools.count():
    hashes = [f"{name}-{n}-{k}" for k in range(1 + n % 3)]
    items = [{"unique_hash": h, "array": np.full(10_000, n + k)} for k, h in enumerate(hashes)]
    store.insert_many(items, collection="p")
    print(*hashes, sep="\\n", flush=True)
"""


def test_many_processes_insert_the_same(store: ResultsDB, start_process: Callable[..., Any]) -> None:
    """MDB-4, MDB-13."""
    processes = [start_process(INSERT, number, INSERTS) for number in range(PROCESSES)]
    ids: dict[str, set[str]] = {}
    for process in processes:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0
        for line in output.splitlines():
            unique_hash, record_id = line.split()
            ids.setdefault(unique_hash, set()).add(record_id)
    assert len(ids) == INSERTS // 2 + PROCESSES * INSERTS // 2
    stored = {record["unique_hash"]: {record["_id"]} for record in store.find_all(collection="p")}
    assert stored == ids  # each told id is there, and for one hash all were told the same


def test_threads_share_a_store(store: ResultsDB) -> None:
    barrier = threading.Barrier(8)

    def insert(number: int) -> list[str]:
        barrier.wait()
        return [store.insert_one({"n": n if n % 2 else (number, n)}, collection="p") for n in range(50)]

    with ThreadPoolExecutor(8) as threads:
        ids = [record_id for some in threads.map(insert, range(8)) for record_id in some]
    assert len(set(ids)) == 25 + 8 * 25
    assert {record["_id"] for record in store.find_all(collection="p")} == set(ids)


def test_a_thread_may_insert_while_another_streams(store: ResultsDB) -> None:
    store.insert_many([{"n": n} for n in range(1000)], collection="p")
    for record in store.find_all(collection="p"):
        if record.get("n", 1) % 100 == 0:
            with ThreadPoolExecutor(1) as threads:
                threads.submit(store.insert_one, {"more": record["n"]}, collection="p").result(timeout=30)
    assert store.count(collection="p") == 1010


def in_a_fork(work: Callable[[], None]) -> int:
    """Do the work in a forked child; return its exit status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def test_a_store_is_used_after_a_fork(store: ResultsDB) -> None:
    """MDB-13."""
    first = store.insert_one({"n": 0}, collection="p")

    def work() -> None:
        before = len(os.listdir("/proc/self/fd"))
        for n in range(20):
            store.insert_one({"n": n}, collection="p")
        assert store.insert_one({"n": 0}, collection="p") == first
        assert len(os.listdir("/proc/self/fd")) <= before + 8

    assert in_a_fork(work) == 0
    store.insert_one({"n": 20}, collection="p")
    assert sorted(record["n"] for record in store.find_all(collection="p")) == list(range(21))


def test_a_fork_in_the_middle_of_a_stream_and_of_another_threads_work(store: ResultsDB) -> None:
    store.insert_many([{"n": n} for n in range(1000)], collection="p")
    stream = store.find_all(collection="p")
    next(stream)
    stop = threading.Event()

    def keep_inserting() -> None:
        n = 0
        while not stop.is_set():
            store.insert_one({"more": n}, collection="p")
            n += 1

    def work() -> None:
        assert sum("n" in record for record in stream) == 999
        store.insert_one({"child": 1}, collection="p")

    thread = threading.Thread(target=keep_inserting)
    thread.start()
    try:
        statuses = [in_a_fork(work) for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    assert statuses == [0] * 5
    assert sum("n" in record for record in stream) == 999
    assert store.count(collection="p", query={"child": 1}) == 1


def test_kill_9_loses_nothing_that_was_told_and_leaves_no_half_record(
    store: ResultsDB, start_process: Callable[..., Any]
) -> None:
    dice = random.Random(9)
    told: set[str] = set()
    for kill in range(KILLS):
        process = start_process(INSERT_UNTIL_KILLED, kill)
        assert process.stdout.readline() == "ready\n"
        time.sleep(dice.uniform(0, 0.15))
        os.kill(process.pid, signal.SIGKILL)
        lines = process.stdout.readlines()  # which, unlike `communicate`, leaves out nothing after "ready"
        told.update(line.strip() for line in lines if line.endswith("\n"))
    found = {}
    assert store.reindex().damaged == {}
    for record in store.find_all(collection="p"):
        _, n, k = record["unique_hash"].split("-")
        assert np.array_equal(record["array"], np.full(10_000, int(n) + int(k)))
        found[record["unique_hash"]] = record
    assert told <= found.keys()
    assert len(told) > KILLS // 4
    assert store.insert_one({"unique_hash": "after"}, collection="p")


def test_deleting_while_others_insert_the_same_array(
    store: ResultsDB, start_process: Callable[..., Any], tmp_path: Path
) -> None:
    """A shared blob must not be removed under a record that is being stored."""
    deleter = start_process(
        "import itertools\n"
        "print('ready', flush=True)\n"
        "while True: store.delete(collection='p', query={'keep': False})"
    )
    assert deleter.stdout.readline() == "ready\n"
    array = np.arange(9000.0)
    for n in range(150):
        store.insert_one({"n": n, "keep": n % 10 == 0, "array": array + n % 3}, collection="p")
    deleter.kill()
    kept = list(store.find(collection="p", query={"keep": True}))
    assert len(kept) == 15
    for record in kept:
        assert np.array_equal(record["array"], array + record["n"] % 3)
