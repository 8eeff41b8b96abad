"""The lease of a run: of all that want to carry it on, one does so at a time, whatever the store."""

import os
import subprocess
import sys
import threading
import time

import pytest

from lume_services.errors import ResultsDBError, RunTakenOverError
from lume_services.flows.runs import lease as leases
from lume_services.flows.runs.lease import LEASES, Holder, Lease
from lume_services.services.results import ResultsDBService

ROOT = "0c73fe1e-fa73-4613-b3d8-2cc577902049"


@pytest.fixture
def service(open_store):
    store = open_store()
    return ResultsDBService(lambda: store)


def claims(service):
    return list(service.find(collection=LEASES, query={"root": ROOT}))


def claim_of(service, holder, number=0):
    claim = {
        "unique_hash": f"{ROOT}:{number}",
        "root": ROOT,
        "number": number,
        "owner": "another",
        "holder": vars(holder),
        "released": False,
    }
    service.insert_one(claim, collection=LEASES)


def test_one_at_a_time(service):
    inside, seen = [], []
    lock = threading.Lock()

    def carry_on():
        with Lease(service, ROOT):
            with lock:
                inside.append(threading.get_ident())
                seen.append(len(inside))
            time.sleep(0.02)
            with lock:
                inside.remove(threading.get_ident())

    threads = [threading.Thread(target=carry_on) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == [1] * 5


def test_what_is_left_is_one_claim(service):
    for _ in range(3):
        with Lease(service, ROOT) as lease:
            lease.check()
    [claim] = claims(service)
    assert claim["released"]


def test_of_a_process_that_is_dead_nobody_waits(service):
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    claim_of(service, Holder(Holder.here().machine, process.pid, "1"))
    began = time.monotonic()
    with Lease(service, ROOT):
        assert time.monotonic() - began < 10


def test_a_number_that_was_given_again_is_another_process(service):
    claim_of(service, Holder(Holder.here().machine, os.getpid(), "long ago"))
    with Lease(service, ROOT) as lease:
        lease.check()
        assert [Holder(**claim["holder"]) for claim in claims(service)] == [Holder.here()]


def test_one_of_another_machine_is_waited_for_while_it_says_that_it_lives(service, monkeypatch, caplog):
    monkeypatch.setattr(leases, "_SILENT_SECONDS", 1.0)
    holder = Holder("elsewhere pid:[1]", 1, "1")
    claim_of(service, holder)
    alive_until = time.monotonic() + 2

    def say():
        for number in range(1, 6):
            time.sleep(0.4)
            claim_of(service, holder, number)

    thread = threading.Thread(target=say)
    thread.start()
    with Lease(service, ROOT):
        assert time.monotonic() > alive_until
    thread.join()
    assert f"Run {ROOT} is carried on by process 1 on elsewhere: waiting for it." in caplog.text


def test_who_was_silent_for_too_long_is_told(service, monkeypatch):
    monkeypatch.setattr(leases, "_RENEWAL_SECONDS", 0.1)

    def overtake(lease):
        deadline = time.monotonic() + 20
        number = claims(service)[-1]["number"]
        while time.monotonic() < deadline:  # whoever comes first gets the next number
            number += 1
            claim_of(service, Holder("elsewhere pid:[1]", 1, "1"), number)
            time.sleep(0.02)
            lease.check()

    with Lease(service, ROOT) as lease, pytest.raises(RunTakenOverError, match=ROOT):
        overtake(lease)


def test_a_renewal_that_the_store_refuses_is_tried_again(service, monkeypatch):
    monkeypatch.setattr(leases, "_RENEWAL_SECONDS", 0.05)
    with Lease(service, ROOT) as lease:
        before = claims(service)[-1]["number"]
        with monkeypatch.context() as patch:

            def away(*args, **kwargs):
                raise ResultsDBError("the store is away")

            patch.setattr(service, "insert_one", away)
            time.sleep(0.3)
        deadline = time.monotonic() + 20
        while claims(service)[-1]["number"] == before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert claims(service)[-1]["number"] > before
        lease.check()
