"""The root command: its groups, and what becomes of an error."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lume_services import __version__
from lume_services.cli import (
    config,
    doctor,
    graph,
    register,
    rerun,
    results,
    run,
    runs,
    scan,
    server,
    services,
    validate,
    worker,
)
from lume_services.cli.output import echo, echo_error, echo_lines
from lume_services.errors import LUMEServicesError

USAGE = 2
FAILURE = 1


def exit_code(error: BaseException) -> int:
    """Return 2 for an error that a change of the input mends before anything runs, else 1."""
    from lume_services.errors import (
        ConfigurationError,
        EncodeError,
        NotTrustedError,
        PluginError,
        QueryError,
        SpecError,
        UnreadableFileError,
    )

    usage = (
        ConfigurationError,
        EncodeError,
        NotTrustedError,
        PluginError,
        QueryError,
        SpecError,
        UnreadableFileError,
        typer.TyperException,
    )
    return USAGE if isinstance(error, usage) else FAILURE


class ErrorReportingGroup(TyperGroup):
    """A group whose commands end with one clear message instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; report an error on standard error and set the exit code."""
        try:
            return super().invoke(ctx)
        except (typer.TyperException, typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:
            ctx.exit(0)
        except (LUMEServicesError, OSError) as error:
            report(str(error), debug=ctx.params.get("debug", False))
            ctx.exit(exit_code(error))
        except Exception as error:  # noqa: BLE001 - the last resort: no traceback on the command line
            report(
                f"unexpected {type(error).__name__}: {error}\n"
                "Run the command again as `lume-services --debug …` for the traceback, and report it.",
                debug=ctx.params.get("debug", False),
            )
            ctx.exit(FAILURE)


def report(message: str, *, debug: bool) -> None:
    """Print an error on standard error, with the traceback of the current exception if asked."""
    if debug:
        import traceback

        echo_lines(traceback.format_exc(), err=True)
    echo_error(message)


app = typer.Typer(
    name="lume-services",
    cls=ErrorReportingGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Run accelerator workflows from a YAML spec, anywhere, and find every result again.",
)


def _show_version(value: bool) -> None:
    if value:
        echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Run accelerator workflows from a YAML spec, anywhere, and find every result again."""


app.command("run")(run.run)
app.command("rerun")(rerun.rerun)
app.command("scan")(scan.scan)
app.command("validate")(validate.validate)
app.command("graph")(graph.graph)
app.command("register")(register.register)
app.add_typer(results.app, name="results")
app.add_typer(server.app, name="server")
app.add_typer(worker.app, name="worker")
app.add_typer(runs.app, name="runs")
app.add_typer(services.app, name="services")
app.add_typer(config.app, name="config")
app.command("doctor")(doctor.doctor)
