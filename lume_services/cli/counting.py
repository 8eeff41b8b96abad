"""How far a long command is, while it works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from lume_services.cli.output import console

_SECONDS = 2.0


@contextmanager
def counting(what: str, total: int | None, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Show how many results are done: as a bar on a terminal, else as a line every few seconds.

    Args:
        what: As `copied`.
        total: How many there are; None where it is not known.
        quiet: Print nothing, for `--json`.

    Yields:
        A function to call with the number of results that were done since the last call.
    """
    out = console(stderr=True)
    if quiet:
        yield lambda _: None
    elif not out.is_terminal:
        yield _lines(what, total)
    else:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=out) as progress:
            task = progress.add_task(what, total=total)
            yield lambda count: progress.advance(task, count)


def _lines(what: str, total: int | None) -> Callable[[int], None]:
    done = 0
    shown = time.monotonic()
    of = "" if total is None else f" of {total}"

    def advance(count: int) -> None:
        nonlocal done, shown
        done += count
        if time.monotonic() - shown >= _SECONDS or done == total:
            shown = time.monotonic()
            typer.echo(f"{what} {done}{of}", err=True)

    return advance
