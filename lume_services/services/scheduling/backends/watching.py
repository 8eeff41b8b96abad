"""Many runs that are waited for at the same time are asked for together."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from lume_services.errors import APIUnreachableError
from lume_services.services.scheduling.backends.paging import every


@dataclass(frozen=True)
class _Answer:
    """What the server said of all watched runs, or that it did not answer."""

    asked: float
    came: float
    runs: dict[UUID, FlowRun]
    error: APIUnreachableError | None = None


class WatchedRuns:
    """The runs that the threads of this process wait for.

    The first thread that wants to know more than is known asks for all of them; the others wait for its
    answer. So a hundred steps that run at the same time cost a server as much as one.

    Args:
        client: Opens a client of the server.
    """

    def __init__(self, client: Callable[[], AbstractContextManager[SyncPrefectClient]]) -> None:
        self._client = client
        self._lock = threading.Lock()  # of `_watched`
        self._asking = threading.Lock()  # of `_answer`
        self._watched: Counter[UUID] = Counter()
        self._answer = _Answer(0.0, 0.0, {})

    @contextmanager
    def watched(self, run_id: UUID) -> Iterator[Callable[[float], FlowRun]]:
        """Watch a run in the block, and give what returns it, as it was at most so many seconds ago."""
        with self._lock:
            self._watched[run_id] += 1
        try:
            yield lambda seconds: self._read(run_id, time.monotonic() - seconds)
        finally:
            with self._lock:
                self._watched[run_id] -= 1
                self._watched += Counter()  # leaves out those that nobody watches

    def _read(self, run_id: UUID, since: float) -> FlowRun:
        with self._asking:
            known = self._answer
            if known.error is not None and known.came >= since:
                raise known.error
            if known.error is not None or known.asked < since or run_id not in known.runs:
                self._answer = known = self._ask()
            if known.error is not None:
                raise known.error
        if run_id not in known.runs:
            with self._client() as client:
                return client.read_flow_run(run_id)  # which tells that there is none
        return known.runs[run_id]

    def _ask(self) -> _Answer:
        asked = time.monotonic()
        with self._lock:
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=list(self._watched)))
        try:
            with self._client() as client:
                runs = every(
                    lambda limit, offset: client.read_flow_runs(
                        flow_run_filter=wanted, sort=FlowRunSort.ID_DESC, limit=limit, offset=offset
                    )
                )
        except APIUnreachableError as error:
            return _Answer(asked, time.monotonic(), {}, error)
        return _Answer(asked, time.monotonic(), {run.id: run for run in runs})
