"""Where the points of a scan run: the interface of every pool, and what passes through it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

from lume_services.errors import BackendError
from lume_services.flows.scans.job import FailedPoint, Job
from lume_services.flows.scans.points import Point
from lume_services.flows.scans.stored import Outcome, PointStore
from lume_services.results.provenance import Provenance

_HOPELESS = 10  # a scan ends when so many points were lost, and not one has run


@dataclass(frozen=True)
class Planned:
    """A point of a scan.

    Attributes:
        point: Its values.
        unique_hash: What identifies it in the results store.
    """

    point: Point
    unique_hash: str


@dataclass(frozen=True)
class Finished:
    """Points that are finished.

    Attributes:
        stored: Those that ran, and whose results are stored now.
        reused: Those whose results were stored before.
        failed: Those that failed, and why.
    """

    stored: Sequence[Planned] = ()
    reused: Sequence[Planned] = ()
    failed: Sequence[tuple[Planned, FailedPoint]] = ()


@dataclass(frozen=True)
class Part:
    """Points on their way.

    Attributes:
        points: Those of which nothing was heard yet, by their position in the chunk.
        again: Whether what ran them has ended in the middle before.
    """

    points: dict[int, Planned]
    again: bool = False


class Pool(ABC):
    """Runs points of a scan, many at a time.

    Args:
        job: The scan.
        store: Takes the points at which what runs them ends.
        limit: So many processes or jobs at most, at the same time.
        largest_chunk: So many points at most in one chunk.
    """

    seconds_per_chunk: ClassVar[float]
    """How long a chunk should take."""

    def __init__(self, job: Job, store: PointStore, limit: int, largest_chunk: int) -> None:
        self.chunk_size = 1
        """How many points the next chunk should have."""
        self.works = False
        """Whether a point has finished, now or before. Until then a scan ends that only loses points."""
        self._job = job
        self._store = store
        self._limit = limit
        self._largest_chunk = largest_chunk
        self._again: deque[Part] = deque()
        self._chunks = 0
        self._lost_points = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def wants_more(self) -> bool:
        """Whether there is room for another chunk."""
        return not self._again and self._has_room

    @property
    def busy(self) -> bool:
        """Whether there are points that are not finished."""
        return bool(self._again) or self._runs

    def submit(self, points: Sequence[Planned]) -> None:
        """Take points, to be run."""
        self._submit(Part(dict(enumerate(points))))

    def finished(self) -> Iterator[Finished]:
        """Wait a moment, and yield what is finished.

        Raises:
            BackendError: What runs the points cannot start, cannot store results, or ends at each of them.
        """
        for found in self._heard():
            self.works = self.works or bool(found.stored) or any(failed.step for _, failed in found.failed)
            yield found
        while self._again and self._has_room:
            self._submit(self._again.popleft())

    @abstractmethod
    def close(self) -> None:
        """End all that runs."""

    @property
    @abstractmethod
    def _has_room(self) -> bool:
        """Whether another chunk may be submitted."""

    @property
    @abstractmethod
    def _runs(self) -> bool:
        """Whether points were submitted and are not finished."""

    @abstractmethod
    def _submit(self, part: Part) -> None:
        """Send points to where they run."""

    @abstractmethod
    def _heard(self) -> Iterator[Finished]:
        """Wait a moment, and yield what is finished; note what has to run again."""

    def _adapt(self, rate: float) -> None:
        """Make the next chunk of the right size, given the points per second of the last one."""
        self.chunk_size = min(max(round(rate * self.seconds_per_chunk), 1), self._largest_chunk)

    def _lost(self, planned: Planned, error: str) -> tuple[Planned, FailedPoint]:
        """Store a point as failed: what ran it is no more.

        Raises:
            BackendError: This is so of every point until now; not the points are at fault.
        """
        self._store.insert([Outcome(planned.point, {}, error)], Provenance.here())
        self._lost_points += 1
        if self._lost_points >= _HOPELESS and not self.works:
            raise BackendError(
                f"the scan cannot go on: each of {self._lost_points} points has ended what ran it, and none "
                f"has finished. Of the last one: {error}",
                remedy="Try one point with `lume-services run`, and look at what it prints; memory that is "
                "too small, and a package that crashes when it is imported, look like this.",
            )
        return planned, FailedPoint(0, error)
