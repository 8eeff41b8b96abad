"""What is special about runs in processes of a worker."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import backend_flows
import pytest
import servers_prefect
from prefect.exceptions import ObjectNotFound

from lume_services.errors import APIUnreachableError
from lume_services.services.scheduling.backends.server_api import ServerAPI
from lume_services.services.scheduling.backends.watching import WatchedRuns

AT_ONCE = 20


@pytest.mark.parametrize("backend_settings", ["process"], indirect=True)
def test_a_job_is_forked_unless_it_has_variables_of_its_own(service):
    forked = service.run_and_return(flow=backend_flows.started_by, timeout=60)
    assert "fork_server.serve" in forked
    own = {"env": {"OMP_NUM_THREADS": "1"}}
    assert "fork_server" not in service.run_and_return(
        flow=backend_flows.started_by, run_config=own, timeout=60
    )


@pytest.fixture
def api() -> ServerAPI:
    return ServerAPI(servers_prefect.session_server().url, None)


class Counting:
    """Clients of a server, counted; or of one that does not answer."""

    def __init__(self, api: ServerAPI) -> None:
        self.api = api
        self.opened: Counter[str] = Counter()
        self.away = False

    @contextmanager
    def __call__(self) -> Iterator[Any]:
        self.opened[threading.current_thread().name] += 1
        if self.away:
            time.sleep(0.2)
            raise APIUnreachableError("the Prefect server does not answer.")
        with self.api.client() as client:
            yield client


def test_threads_that_wait_for_runs_ask_together(api):
    with api.client() as client:
        runs = [client.create_flow_run(backend_flows.started_by).id for _ in range(AT_ONCE)]
    clients = Counting(api)
    watched = WatchedRuns(clients)
    began = threading.Barrier(AT_ONCE)

    def wait(run_id: Any) -> list[Any]:
        with watched.watched(run_id) as read:
            began.wait()
            found = [read(0.0).id]
            for _ in range(5):
                time.sleep(0.2)
                found.append(read(0.2).id)
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert list(pool.map(wait, runs)) == [[run] * 6 for run in runs]
    assert sum(clients.opened.values()) < 2 * AT_ONCE  # and not six times as many as threads


def test_what_is_read_is_as_new_as_wanted(api):
    clients = Counting(api)
    with api.client() as client:
        run = client.create_flow_run(backend_flows.started_by)
    with WatchedRuns(clients).watched(run.id) as read:
        for seconds in (0.0, 10.0, 10.0, 0.0):
            assert read(seconds).id == run.id
    assert sum(clients.opened.values()) == 2


def test_a_run_that_is_not_there_is_told_alone(api):
    with api.client() as client:
        run = client.create_flow_run(backend_flows.started_by)
    watched = WatchedRuns(api.client)
    with watched.watched(run.id) as read, watched.watched(uuid4()) as other:
        with pytest.raises(ObjectNotFound):
            other(0.0)
        assert read(0.0).id == run.id


def test_all_are_told_at_once_that_the_server_is_away(api):
    clients = Counting(api)
    clients.away = True
    watched = WatchedRuns(clients)

    def wait(run_id: Any) -> bool:
        with watched.watched(run_id) as read, pytest.raises(APIUnreachableError):
            read(0.0)
        return True

    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert all(pool.map(wait, [uuid4() for _ in range(AT_ONCE)]))
    assert time.monotonic() - began < 0.2 * AT_ONCE / 2
    clients.away = False
    with api.client() as client:
        run = client.create_flow_run(backend_flows.started_by)
    with watched.watched(run.id) as read:
        assert read(0.0).id == run.id
