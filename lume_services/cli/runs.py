"""`lume-services runs`: the flow runs of the Prefect server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lume_services.cli.output import JSONFlag, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Look after runs at a Prefect server.", rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Make `reconcile` a command of its own."""


@app.command()
def reconcile(
    *,
    silent_for: Annotated[
        float, typer.Option("--silent-for", min=1, help="Seconds without a sign of life that mean the end.")
    ] = 600.0,
    as_json: JSONFlag = False,
) -> None:
    """End the runs that a dead worker or a killed parent left behind."""
    from lume_services.config import current_context
    from lume_services.services.scheduling.backends.server_api import ServerAPI
    from lume_services.services.scheduling.reconcile import reconcile as reconcile_runs

    prefect = current_context().settings().prefect
    with ServerAPI(prefect.api_url, prefect.api_auth_string).client() as client:
        ended = reconcile_runs(client, silent_for)
    if as_json:
        print_json([asdict(run) for run in ended])
    elif ended:
        rows = ((run.name, run.before, run.after, run.why) for run in ended)
        print_table("Ended", ("run", "was", "is", "why"), rows)
    else:
        typer.echo("Every run is in a true state.")
