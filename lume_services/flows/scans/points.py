"""The points of a scan: all combinations of the axes, the axes in parallel, or samples. Made when needed."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lume_services.errors import Problem, SpecError
from lume_services.flows.scans.axes import MAX_POINTS, SUMMARY, Axis, Span, Values

Point: TypeAlias = tuple[Any, ...]
"""The values of a point, in the order of the keys of its scan."""

_BLOCK = 1024  # a power of 2, which keeps Sobol' samples balanced


@dataclass(frozen=True)
class Design:
    """How the axes make points; at most one of these. Without any: all combinations.

    Attributes:
        zipped: Whether the axes go in parallel.
        random: The number of random samples.
        sobol: The number of samples of a Sobol' sequence.
        seed: Of the samples. The same seed gives the same points.
    """

    zipped: bool = False
    random: int | None = None
    sobol: int | None = None
    seed: int = 0

    @property
    def options(self) -> list[str]:
        """What was chosen, as on the command line."""
        chosen = {
            "--zip": self.zipped,
            "--random": self.random is not None,
            "--sobol": self.sobol is not None,
        }
        return [option for option, is_chosen in chosen.items() if is_chosen]

    @property
    def samples(self) -> int | None:
        """The number of samples, or None where no samples are drawn."""
        return self.sobol if self.random is None else self.random


@dataclass(frozen=True)
class Points:
    """The points of a scan.

    Attributes:
        keys: The parameters, as `track.k1`.
        count: The number of points.
        make: Begins to make them.
    """

    keys: tuple[str, ...]
    count: int
    make: Callable[[], Iterator[Point]]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Point]:
        return self.make()


def points_of(axes: Sequence[Axis], design: Design) -> Points:
    """Return the points of a scan.

    Args:
        axes: The axes.
        design: How they make points.

    Raises:
        SpecError: They make none, or too many; all problems in one report.
    """
    problems = list(_problems(axes, design))
    if problems:
        raise SpecError(SUMMARY, problems)
    keys = tuple(key for axis in axes for key in axis.keys)
    count = design.samples
    if count is not None:
        return Points(keys, count, lambda: _samples(axes, design, count))
    rows = [axis.rows for axis in axes if isinstance(axis, Values)]
    if design.zipped:
        return Points(keys, len(rows[0]), lambda: map(_joined, zip(*rows, strict=True)))
    return Points(keys, math.prod(map(len, rows)), lambda: map(_joined, itertools.product(*rows)))


def _joined(rows: Sequence[Point]) -> Point:
    return tuple(itertools.chain.from_iterable(rows))


def _problems(axes: Sequence[Axis], design: Design) -> Iterator[Problem]:
    if len(design.options) > 1:
        yield Problem(f"{' and '.join(design.options)} do not go together.", remedy="Choose one.")
        return
    keys = Counter(key for axis in axes for key in axis.keys)
    for key, count in keys.items():
        if count > 1:
            yield Problem(f"{key} is scanned over twice.", remedy="Leave one out.")
    if design.samples is not None:
        if design.samples < 1:
            yield Problem(f"{design.samples} is not a number of samples.", design.options[0], "As 1000.")
        yield from _count_problems(design.samples)
        return
    for axis in axes:
        if isinstance(axis, Span):
            remedy = "Write LOW:HIGH:NUMBER; or draw samples, with --random N or --sobol N."
            yield Problem("the range does not say how many values.", axis.source, remedy)
    lengths = {
        axis.source.removeprefix("--over "): len(axis.rows) for axis in axes if isinstance(axis, Values)
    }
    if not design.zipped:
        yield from _count_problems(math.prod(lengths.values()))
    elif len(set(lengths.values())) > 1:
        listed = ", ".join(f"{source} has {length}" for source, length in lengths.items())
        yield Problem(f"the axes are of different lengths: {listed}.", "--zip", "Make them equal.")


def _count_problems(count: int) -> Iterator[Problem]:
    if count > MAX_POINTS:
        remedy = "Take fewer values, or draw samples, with --random N or --sobol N."
        yield Problem(f"there are {count} points; a scan has at most {MAX_POINTS}.", remedy=remedy)


def _samples(axes: Sequence[Axis], design: Design, count: int) -> Iterator[Point]:
    draw = _random(len(axes), design.seed) if design.sobol is None else _sobol(len(axes), design.seed)
    for parts in itertools.islice(draw, count):
        yield _joined([_drawn(axis, part) for axis, part in zip(axes, parts, strict=True)])


def _drawn(axis: Axis, part: float) -> Point:
    return (axis.at(part),) if isinstance(axis, Span) else axis.rows[int(part * len(axis.rows))]


def _random(dimensions: int, seed: int) -> Iterator[list[float]]:
    import numpy as np

    generator = np.random.default_rng(seed)
    while True:
        yield from generator.random((_BLOCK, dimensions)).tolist()


def _sobol(dimensions: int, seed: int) -> Iterator[list[float]]:
    from scipy.stats import qmc

    sequence = qmc.Sobol(dimensions, rng=seed)
    while True:
        yield from sequence.random(_BLOCK).tolist()
