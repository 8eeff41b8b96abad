"""A scan: the points that are missing run, and each is told as it finishes."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Self

from lume_services.config import current_context
from lume_services.flows.check import CheckedSpec
from lume_services.flows.scans.axes import Over, read_axes
from lume_services.flows.scans.job import Job
from lume_services.flows.scans.points import Design, Points, points_of
from lume_services.flows.scans.pool import Finished, Planned, Pool
from lume_services.flows.scans.stored import PointStore
from lume_services.flows.scans.typed import typed_axes

_BLOCK = 500
_JOBS = 4

Values = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ScanPoint:
    """A point of a scan that is finished.

    Attributes:
        values: What was scanned, as `{"track.k1": 0.5}`.
        results: What each step returned; None if the point failed. Large arrays are read when they are used.
        error: Why it failed, with the place; None if it did not.
        step: The step that failed.
        reused: Whether it had run before.
    """

    values: Mapping[str, Any]
    results: Mapping[str, Any] | None = None
    error: str | None = None
    step: str | None = None
    reused: bool = False


class Scan(Iterator[ScanPoint]):
    """A scan that runs while it is iterated over. Points come as they finish, those that had run before too.

    `close`, or the end of a `with` block, stops it; what has run is stored. The same scan, begun again, runs
    only what is missing, and what failed.

    Attributes:
        keys: The parameters that are scanned over, as `track.k1`.
        total: The number of points.
        scan_id: The fingerprint of the spec, of the values for all points, and of the flows' code.
            Every record has it.
        problem: Why no point of an earlier scan is taken: it is not certain what code runs. None if it is.
        collection: Where the results are stored, a `ScanResult` for each point.
        failed_collection: Where the points that failed are stored, a `FailedScanResult` for each.
    """

    def __init__(self, job: Job, points: Points, make_pool: Callable[[PointStore], Pool]) -> None:
        self.keys = points.keys
        self.total = len(points)
        self.scan_id = job.scan_id
        self.problem = job.problem
        self.collection = job.collection
        self.failed_collection = job.failed
        self._job = job
        self._points = points
        self._make_pool = make_pool
        self._store = PointStore(job)
        self._running: Counter[str] = Counter()
        self._iterator = self._each()

    def __next__(self) -> ScanPoint:
        return next(self._iterator)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop: the points that run are given up after five seconds, those that have run are stored."""
        self._iterator.close()

    def finished(self) -> Iterator[Finished]:
        """Run the scan, and yield what is finished, many points at a time, without reading results.

        Raises:
            BackendError: A worker process or a job could not start, cannot store its results, or ends at
                every point.
            ResultsDBError: The store cannot be read.
        """
        blocks = self._blocks()
        waiting: deque[Planned] = deque()
        more = True
        with self._make_pool(self._store) as pool:
            while more or waiting or pool.busy:
                while more and pool.wants_more and len(waiting) < pool.chunk_size:
                    block = next(blocks, None)
                    more = block is not None
                    if block is not None:
                        reused, missing = block
                        waiting.extend(missing)
                        if reused:
                            pool.works = True
                            yield Finished(reused=reused)
                if waiting and pool.wants_more:
                    pool.submit([waiting.popleft() for _ in range(min(pool.chunk_size, len(waiting)))])
                    continue
                for found in pool.finished():
                    yield self._with_duplicates(found)

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records of the points of this scan that have results, in their order."""
        seen: set[str] = set()
        for block in self._planned():
            hashes = dict.fromkeys(one.unique_hash for one in block if one.unique_hash not in seen)
            seen |= hashes.keys()
            found = self._store.results(list(hashes))
            yield from (found[unique_hash] for unique_hash in hashes if unique_hash in found)

    def _planned(self) -> Iterator[list[Planned]]:
        points = iter(self._points)
        while block := [Planned(point, self._job.unique_hash(point)) for point in islice(points, _BLOCK)]:
            yield block

    def _blocks(self) -> Iterator[tuple[list[Planned], list[Planned]]]:
        """Yield points in blocks: those that have results, and those that have none."""
        for block in self._planned():
            present = self._store.present([planned.unique_hash for planned in block])
            missing = []
            for planned in block:
                if planned.unique_hash not in present:
                    self._running[planned.unique_hash] += 1
                    # A point that is there twice runs once.
                    if self._running[planned.unique_hash] == 1:
                        missing.append(planned)
            yield [planned for planned in block if planned.unique_hash in present], missing

    def _with_duplicates(self, found: Finished) -> Finished:
        stored = [one for one in found.stored for _ in range(self._running.pop(one.unique_hash))]
        failed = [one for one in found.failed for _ in range(self._running.pop(one[0].unique_hash))]
        return Finished(stored, found.reused, failed)

    def _each(self) -> Generator[ScanPoint]:
        for found in self.finished():
            yield from self._scan_points(found.reused, reused=True)
            yield from self._scan_points(found.stored, reused=False)
            for planned, failed in found.failed:
                yield ScanPoint(self._values(planned), error=failed.error, step=failed.step)

    def _scan_points(self, points: Sequence[Planned], *, reused: bool) -> Iterator[ScanPoint]:
        if points:
            records = self._store.results([planned.unique_hash for planned in points])
            for planned in points:
                results = records[planned.unique_hash]["outputs"]
                yield ScanPoint(self._values(planned), results, reused=reused)

    def _values(self, planned: Planned) -> dict[str, Any]:
        return dict(zip(self.keys, planned.point, strict=True))


def scan_of(
    checked: CheckedSpec,
    over: Over,
    design: Design,
    parameters: Values,
    *,
    check: Callable[[Values], None],
    workers: int | None,
    collection: str | None,
) -> Scan:
    """Return a scan, checked whole. Nothing runs yet.

    Args:
        checked: The spec and its flows.
        over: The axes.
        design: How they make points.
        parameters: The values for all points, by step and parameter.
        check: Checks the values for one run.
        workers: The number of processes or jobs at the same time; the default one if None.
        collection: Where to store the results; the default one if None.

    Raises:
        SpecError: The axes, the values or the run config of a step do not fit; all problems of a kind in one
            report.
        NotAFlowError: A flow cannot be imported by another process.
    """
    steps = {step.step: step for step in checked.spec.composing_flows}
    points = points_of(typed_axes(read_axes(over), steps, checked.signatures, parameters), design)
    job = Job.of(checked, parameters, points.keys, collection)
    first = job.inputs(next(iter(points)))
    both = parameters.keys() | first.keys()
    check({step: {**parameters.get(step, {}), **first.get(step, {})} for step in both})
    return Scan(job, points, _pool_of(checked, job, len(points), workers))


def _pool_of(checked: CheckedSpec, job: Job, total: int, workers: int | None) -> Callable[[PointStore], Pool]:
    """Return what makes the pool of the configured backend."""
    context = current_context()
    backend = context.scheduling_backend()
    if backend.in_process:
        from lume_services.flows.scans.local_pool import LocalPool

        return lambda store: LocalPool(job, store, context.settings(), workers or _cores())
    from lume_services.flows.scans.remote_pool import RemotePool, run_config_of

    run_config = run_config_of(checked, backend)
    return lambda store: RemotePool(
        job, store, backend=backend, run_config=run_config, limit=workers or _JOBS, total=total
    )


def _cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
