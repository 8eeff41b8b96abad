"""Scans on backends with a server: jobs of the work pool."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar
from uuid import uuid4

from typing_extensions import override

from lume_services.errors import (
    APIUnreachableError,
    BackendError,
    FlowCrashedError,
    FlowFailedError,
    RunNotStartedError,
)
from lume_services.flows.check import CheckedSpec
from lume_services.flows.checks.findings import Findings
from lume_services.flows.scans.job import Chunk, FailedPoint, Job, Progress, progress_of, to_text
from lume_services.flows.scans.pool import Finished, Part, Planned, Pool
from lume_services.flows.scans.remote import scan_chunk
from lume_services.flows.scans.stored import PointStore
from lume_services.flows.steps import step_backend
from lume_services.services.results.base import batches
from lume_services.services.scheduling import Backend, RunConfig, RunHandle

_LARGEST_CHUNK = 10_000
_AT_ONCE = 500  # points of which results are read together
_POLL_SECONDS = 1.0
_AWAY_SECONDS = 120.0


@dataclass(frozen=True)
class _Sent:
    """Points in a job.

    Attributes:
        part: The points.
        handle: The run of the job.
    """

    part: Part
    handle: RunHandle


class RemotePool(Pool):
    """Runs points of a scan in jobs, which a worker takes from the work pool of a backend.

    What has become of a job's points is read when it has ended. Of one that crashed, the store knows which
    points are finished; the others run in another job, stored one by one. Should that crash, too, the point
    that it was at has failed, and the rest goes on likewise.

    Args:
        job: The scan.
        store: Of the results, which the jobs write.
        backend: The backend.
        run_config: Of every job.
        limit: At most so many jobs at the same time.
        total: The number of points.
    """

    seconds_per_chunk: ClassVar[float] = 60.0

    def __init__(
        self,
        job: Job,
        store: PointStore,
        *,
        backend: Backend,
        run_config: RunConfig,
        limit: int,
        total: int,
    ) -> None:
        super().__init__(job, store, limit, min(math.ceil(total / limit), _LARGEST_CHUNK))
        self._backend = backend
        self._run_config = run_config
        self._id = uuid4().hex
        self._sent: list[_Sent] = []
        self._answered = self._progressed = time.monotonic()

    @override
    def close(self) -> None:
        """Cancel the jobs; what they have stored stays."""
        for sent in self._sent:
            with suppress(APIUnreachableError):  # then they run to their end
                sent.handle.cancel()
        self._sent.clear()

    @property
    @override
    def _has_room(self) -> bool:
        return len(self._sent) < self._limit

    @property
    @override
    def _runs(self) -> bool:
        return bool(self._sent)

    @override
    def _submit(self, part: Part) -> None:
        if not self._sent:
            self._progressed = time.monotonic()
        self._chunks += 1
        points = [planned.point for planned in part.points.values()]
        handle = self._backend.run(
            scan_chunk,
            {
                "job": to_text(self._job),
                "chunk": to_text(Chunk(self._chunks, points, one_by_one=part.again)),
            },
            self._run_config,
            # A request that is repeated, as its answer was lost, starts no second job.
            idempotency_key=f"{self._id}:{self._chunks}",
        )
        self._sent.append(_Sent(part, handle))

    @override
    def _heard(self) -> Iterator[Finished]:
        time.sleep(_POLL_SECONDS)
        try:
            outcomes = [(sent, self._outcome(sent)) for sent in self._ended()]
        except APIUnreachableError:
            if time.monotonic() - self._answered > _AWAY_SECONDS:
                raise
            return
        self._answered = time.monotonic()
        for sent, outcome in outcomes:
            self._sent.remove(sent)
            if isinstance(outcome, Progress):
                yield from self._told(sent.part, outcome)
            else:
                yield from self._known(sent, outcome)

    def _ended(self) -> list[_Sent]:
        """Return the jobs that have ended.

        Raises:
            RunNotStartedError: None runs, and none could be started for too long.
        """
        states = [sent.handle.state for sent in self._sent]
        ended = [sent for sent, state in zip(self._sent, states, strict=True) if state.is_final()]
        if ended or any(state.is_running() for state in states):
            self._progressed = time.monotonic()
        elif self._sent:
            self._sent[0].handle.check_start(time.monotonic() - self._progressed)
        return ended

    def _outcome(self, sent: _Sent) -> Progress | BackendError:
        """Return what a job that has ended says of its points, or why it says nothing.

        Raises:
            BackendError: It could not start, was cancelled, or has failed once more.
        """
        try:
            return progress_of(sent.handle.result())
        except RunNotStartedError:
            raise
        except FlowFailedError as error:
            # Points fail without their job: the spec cannot run there, or the store cannot be written.
            if sent.part.again:
                raise
            return error
        except FlowCrashedError as error:
            return error

    def _told(self, part: Part, progress: Progress) -> Iterator[Finished]:
        for some in batches(progress.stored, _AT_ONCE):
            yield Finished([part.points[index] for index in some])
        yield Finished(failed=[(part.points[found.index], found) for found in progress.failed])
        if progress.rate is not None:
            self._adapt(progress.rate)

    def _known(self, sent: _Sent, why: BackendError) -> Iterator[Finished]:
        """Yield what the store knows of the points of a job, and have the others run again."""
        left: list[Planned] = []
        for some in batches(sent.part.points.values(), _AT_ONCE):
            hashes = [planned.unique_hash for planned in some]
            stored = self._store.present(hashes)
            failed = self._store.failures(hashes, sent.handle.run_id)
            yield Finished(
                [planned for planned in some if planned.unique_hash in stored],
                failed=[
                    (planned, FailedPoint(0, found["error"], found["step"]))
                    for planned in some
                    if (found := failed.get(planned.unique_hash)) is not None
                ],
            )
            left += [planned for planned in some if planned.unique_hash not in stored | failed.keys()]
        if left and sent.part.again:
            yield Finished(failed=[self._lost(left.pop(0), f"the job ended at this point: {why}")])
        if left:
            self._again.append(Part(dict(enumerate(left)), again=True))


def run_config_of(checked: CheckedSpec, backend: Backend) -> RunConfig:
    """Return the run config of the jobs, in each of which all steps run.

    Args:
        checked: The spec and its flows.
        backend: The backend.

    Raises:
        SpecError: A step wants a job that is not like those of the others.
    """
    findings = Findings(checked.document)
    steps = checked.spec.composing_flows
    plain = steps[0].model_copy(update={"image": None, "run_config": {}})
    _, of_all = step_backend(backend, checked.spec, plain)
    for index, step in enumerate(steps):
        place, wanted = step_backend(backend, checked.spec, step)
        if not place.in_process and wanted != of_all:
            name = "run_config" if step.run_config else "image"
            message = f"all steps of a point run in one job, and the step {step.step!r} wants one of its own."
            remedy = f"Leave its {name} out; LUME_RUN_CONFIG, and the image of the spec, are for all jobs."
            findings.problem(("composing_flows", index, name), message, remedy)
    findings.raise_problems()
    return of_all
