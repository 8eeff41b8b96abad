"""`lume-services worker`: take runs from a work pool."""

from __future__ import annotations

import os
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Take runs from a work pool.", rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Make `start` a command of its own."""


@app.command()
def start(
    *,
    kind: Annotated[
        str | None, typer.Option("--type", "-t", help="process or docker. Default: LUME_BACKEND.")
    ] = None,
    pool: Annotated[
        str | None,
        typer.Option("--pool", "-p", help="Work pool. Default: LUME_PREFECT__WORK_POOL, else lume-TYPE."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Default: host and process.")] = None,
    queue: Annotated[
        list[str] | None, typer.Option("--queue", "-q", help="Work queue, as often as needed. Default: all.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-l", min=1, help="At most so many runs at the same time.")
    ] = None,
    poll: Annotated[
        float | None, typer.Option("--poll", min=0.1, help="Seconds between two looks. Default: 0.5.")
    ] = None,
) -> None:
    """Start a worker and go on until Ctrl-C or SIGTERM."""
    from lume_services.cli.backends import server_backend
    from lume_services.config import current_context
    from lume_services.config.environment import job_environment
    from lume_services.services.scheduling.worker import Worker

    given = {"name": name, "queues": queue, "limit": limit, "poll_seconds": poll}
    set_ones = {key: value for key, value in given.items() if value is not None}
    settings = current_context().settings()
    section = settings.worker.arguments()
    section["env"] = job_environment(settings, os.environ) | section["env"]
    Worker(server_backend(kind, pool), **{**section, **set_ones}).run(typer.echo)
