"""`lume-services server`: a Prefect server for all backends but the local one."""

from __future__ import annotations

from typing import Annotated

import typer

from lume_services.cli.output import echo

app = typer.Typer(no_args_is_help=True, help="Run a Prefect server.", rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Make `start` a command of its own."""


@app.command()
def start(
    *,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 4200,
    database: Annotated[
        str | None,
        typer.Option(
            "--database",
            envvar="PREFECT_SERVER_DATABASE_CONNECTION_URL",
            show_envvar=True,
            help="postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE. Default: in memory, for a trial.",
        ),
    ] = None,
) -> None:
    """Start a Prefect server and go on until Ctrl-C or SIGTERM."""
    from pydantic import SecretStr

    from lume_services.services.scheduling.prefect_server import PrefectServer

    def ready(url: str) -> None:
        where = "in PostgreSQL" if database else "in memory: all is forgotten when it stops"
        echo(f"The Prefect server answers at {url}; its data are {where}.")
        echo(f"Use it: export LUME_PREFECT__API_URL={url} LUME_BACKEND=process")
        echo("Then start a worker: lume-services worker start")

    PrefectServer(host=host, port=port, database=SecretStr(database) if database else None).run(ready)
