"""What happens to the steps of a run, while it happens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from lume_services.cli.output import console, echo, shown

if TYPE_CHECKING:
    from rich.table import Table

    from lume_services.flows.events import StepEvent
    from lume_services.flows.plan import Plan

MARKS: Mapping[str, str] = {"completed": "✓", "reused": "=", "failed": "✗"}
STYLES: Mapping[str, str] = {
    "completed": "green",
    "reused": "green",
    "failed": "red",
    "running": "yellow",
    "skipped": "dim",
}


class Progress:
    """A live table on a terminal, one line for each change in a pipe.

    Args:
        plan: The steps.
        quiet: Print nothing, for `--json`.
    """

    def __init__(self, plan: Plan, *, quiet: bool) -> None:
        self._events: dict[str, StepEvent] = {}
        self._since: dict[str, float] = {}
        self._plan = plan
        self._quiet = quiet
        self._live: Any = None

    def __enter__(self) -> Self:
        out = console(stderr=True)
        if out.is_terminal and not self._quiet:
            from rich.live import Live

            self._live = Live(get_renderable=self._table, console=out, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, event: StepEvent) -> None:
        """Take note of an event."""
        self._events[event.step] = event
        self._since[event.step] = time.monotonic()
        if self._live is None and not self._quiet and event.state != "queued":
            took = f" {event.duration:.2f} s" if event.duration is not None else ""
            echo(f"{event.step} {event.state}{took}", err=True)

    def as_data(self) -> list[dict[str, Any]]:
        """Return how each step stands, for JSON."""
        names = ("step", "flow", "state", "duration", "run_id", "why", "error")
        return [{name: getattr(event, name) for name in names} for event in self._events.values()]

    def _table(self) -> Table:
        from rich.spinner import Spinner
        from rich.table import Table

        table = Table(title=shown(self._plan.name), title_justify="left", box=None)
        for column in ("", "step", "state", "time"):
            table.add_column(column, justify="right" if column == "time" else "left")
        for step in self._plan.steps:
            event = self._events.get(step)
            state = event.state if event else "queued"
            style = STYLES.get(state, "")
            mark = Spinner("dots") if state == "running" else shown(MARKS.get(state, "·"))
            link = _link(event.run_id) if event and event.run_id else None
            name = shown(step, f"link {link}" if link else "")
            table.add_row(mark, name, shown(state, style), self._took(step))
        return table

    def _took(self, step: str) -> str:
        event = self._events.get(step)
        if event is None or event.state in {"queued", "skipped"}:
            return ""
        running = time.monotonic() - self._since[step]
        return f"{event.duration if event.duration is not None else running:.1f} s"


def _link(run_id: str) -> str | None:
    """Return where the Prefect UI shows a flow run; None where its runs are kept by this process alone."""
    from uuid import UUID

    from prefect.utilities.urls import url_for

    return url_for("flow-run", UUID(run_id))
