"""How far a long command is, while it works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from lume_services.cli.output import console, echo

_SECONDS = 2.0


@contextmanager
def counting(what: str, total: int | None, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show how much is done, and how fast: as a bar on a terminal, else as a line every few seconds.

    Args:
        what: As `copied`.
        total: How many there are; None where it is not known.
        quiet: Print nothing, for `--json`.

    Yields:
        A function to call with the number that was done since the last call.
    """
    out = console(stderr=True)
    if quiet:
        yield lambda _: None
    elif not out.is_terminal:
        yield _lines(what, total)
    else:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=out) as progress:
            task = progress.add_task(what, total=total, rate="")
            began = time.monotonic()

            def advance(count: int) -> None:
                progress.advance(task, count)
                progress.update(task, rate=_per_second(progress.tasks[0].completed, began))

            yield advance


def _lines(what: str, total: int | None) -> Callable[[int], None]:
    done = 0
    began = shown = time.monotonic()
    of = "" if total is None else f" of {total}"

    def advance(count: int) -> None:
        nonlocal done, shown
        done += count
        now = time.monotonic()
        if done == total:
            echo(f"{what} {done}{of}", err=True)
        elif now - shown >= _SECONDS:
            shown = now
            left = "" if total is None else f", {_duration((now - began) * (total - done) / done)} left"
            echo(f"{what} {done}{of}, {_per_second(done, began)}{left}", err=True)

    return advance


def _per_second(count: float, began: float) -> str:
    return f"{count / max(time.monotonic() - began, 1e-3):.3g}/s"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
