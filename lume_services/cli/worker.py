"""`lume-services worker`: take runs from a work pool."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from lume_services.cli.output import echo

if TYPE_CHECKING:
    from lume_services.config.sections import PrefectSection

app = typer.Typer(no_args_is_help=True, help="Take runs from a work pool.", rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Make `start` a command of its own."""


@app.command()
def start(
    *,
    kind: Annotated[
        str | None, typer.Option("--type", "-t", help="process, docker or kubernetes. Default: LUME_BACKEND.")
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
    health_port: Annotated[
        int | None,
        typer.Option("--health-port", min=1, max=65535, help="Serve http://127.0.0.1:PORT/health."),
    ] = None,
) -> None:
    """Start a worker and go on until Ctrl-C or SIGTERM."""
    from lume_services.cli.backends import server_backend
    from lume_services.config import current_context
    from lume_services.config.environment import job_environment
    from lume_services.services.scheduling.worker import Worker

    given = {
        "name": name,
        "queues": queue,
        "limit": limit,
        "poll_seconds": poll,
        "health_port": health_port,
    }
    set_ones = {key: value for key, value in given.items() if value is not None}
    settings = current_context().settings()
    _tell_prefect(settings.prefect)
    backend = server_backend(kind, pool)
    section = settings.worker.arguments()
    # The manifest of a Kubernetes job can be read by many, so it refers to a config map and a secret.
    if backend.work_pool_type != "kubernetes":
        section["env"] = job_environment(settings, os.environ) | section["env"]
    Worker(backend, **{**section, **set_ones}).run(echo)


def _tell_prefect(section: PrefectSection) -> None:
    """Put the API into the environment before Prefect is imported: some of its threads look nowhere else."""
    if section.api_url:
        os.environ["PREFECT_API_URL"] = section.api_url
    if section.api_auth_string:
        os.environ["PREFECT_API_AUTH_STRING"] = section.api_auth_string.get_secret_value()
