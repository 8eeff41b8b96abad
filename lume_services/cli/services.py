"""`lume-services services`: MongoDB, PostgreSQL, a Prefect server and a worker in containers here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from lume_services.cli.output import JSONFlag, console, echo, print_json, print_table, shown

if TYPE_CHECKING:
    from rich.table import Table

    from lume_services.cli.compose import ServiceState

app = typer.Typer(
    no_args_is_help=True,
    help="Bring up MongoDB, PostgreSQL, a Prefect server and a worker by docker compose.",
    rich_markup_mode=None,
)

FileOption = Annotated[
    list[Path] | None,
    typer.Option("--file", "-f", help="Compose file, as often as needed. Default: ours."),
]


@app.command()
def up(
    *,
    file: FileOption = None,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait at most.")] = 300.0,
) -> None:
    """Start the services and wait until they are healthy; what runs already is left alone."""
    from lume_services.cli.compose import Compose

    with _Progress() as progress:
        Compose(file or ()).up(progress.update, timeout)
    echo("All services are ready. Look: lume-services services status")


@app.command()
def down(*, file: FileOption = None) -> None:
    """Stop the services and remove their containers; their data stay."""
    from lume_services.cli.compose import Compose

    Compose(file or ()).down()
    echo("All services are stopped.")


@app.command()
def status(*, file: FileOption = None, as_json: JSONFlag = False) -> None:
    """Show how each service stands."""
    from lume_services.cli.compose import Compose

    states = Compose(file or ()).status()
    if as_json:
        print_json([{**asdict(one), "ready": one.ready} for one in states])
    else:
        rows = ((one.service, one.state, one.health, one.ports) for one in states)
        print_table("Services", ("service", "state", "health", "ports"), rows)


class _Progress:
    """A live table on a terminal, one line for each change in a pipe."""

    def __init__(self) -> None:
        self._states: Sequence[ServiceState] = ()
        self._live: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        out = console(stderr=True)
        if out.is_terminal:
            from rich.live import Live

            self._live = self._stack.enter_context(
                Live(get_renderable=self._table, console=out, refresh_per_second=4)
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def update(self, states: Sequence[ServiceState]) -> None:
        """Take note of how the services stand."""
        if self._live is None:
            before = {_line(one) for one in self._states}
            for line in (line for line in map(_line, states) if line not in before):
                echo(line, err=True)
        self._states = states

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(box=None, show_header=False)
        for one in self._states:
            style = "green" if one.ready else "yellow"
            table.add_row(
                "✓" if one.ready else "·", shown(one.service), shown(one.health or one.state, style)
            )
        return table


def _line(one: ServiceState) -> str:
    return f"{one.service} {one.health or one.state}"
