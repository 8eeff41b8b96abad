"""`lume-services register`: make a flow-of-flows known, to be run by name or by schedule."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from lume_services.cli.output import JSONFlag, echo, print_json
from lume_services.cli.values import SpecArgument
from lume_services.errors import BackendError

if TYPE_CHECKING:
    from prefect.schedules import Schedule


def register(
    spec: SpecArgument,
    *,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="The project; default: that of the spec.")
    ] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", help="A Prefect tag of every run; may be repeated.")
    ] = None,
    cron: Annotated[str | None, typer.Option(help="Run by itself, as '0 6 * * *'.")] = None,
    interval: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Run by itself, every so many seconds.")
    ] = None,
    rrule: Annotated[str | None, typer.Option(help="Run by itself, as 'FREQ=DAILY;BYHOUR=6'.")] = None,
    as_json: JSONFlag = False,
) -> None:
    """Check a spec whole, then register it as one flow on the configured backend."""
    from lume_services.config import current_context
    from lume_services.flows import FlowOfFlows

    if current_context().scheduling_backend().in_process:
        raise BackendError(
            "nothing would keep the flow: the local backend ends with this command.",
            where="LUME_BACKEND",
            remedy="Choose a backend with a server, as LUME_BACKEND=process.",
        )
    composed = FlowOfFlows.from_yaml(spec)
    name = composed.register(project, labels or [], schedule=_schedule(cron, interval, rrule))
    if as_json:
        print_json({"name": name, "steps": list(composed.steps)})
        return
    echo(f"{name} is registered.")
    echo(f"To run it: prefect deployment run {shlex.quote(name)}")


def _schedule(cron: str | None, interval: float | None, rrule: str | None) -> Schedule | None:
    """Return the schedule that one of the options says.

    Raises:
        typer.BadParameter: Several are given, or it is not valid.
    """
    from datetime import timedelta

    from prefect.client.schemas.schedules import CronSchedule, RRuleSchedule
    from prefect.schedules import Cron, Interval, RRule

    if sum(option is not None for option in (cron, interval, rrule)) > 1:
        raise typer.BadParameter("Give one of --cron, --interval, --rrule.")
    try:
        if cron is not None:
            return Cron(CronSchedule(cron=cron).cron)
        if rrule is not None:
            return RRule(RRuleSchedule(rrule=rrule).rrule)
    except ValueError as error:
        raise typer.BadParameter(f"The schedule is not valid: {_reason(error)}") from error
    return None if interval is None else Interval(timedelta(seconds=interval))


def _reason(error: ValueError) -> str:
    from pydantic import ValidationError

    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
