"""`lume-services rerun`: build a run again, and see whether it gives the same."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lume_services.cli.output import JSONFlag, print_json


def rerun(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="A run, or a result that it made; or `latest`, the last run.")
    ],
    *,
    rtol: Annotated[float, typer.Option(min=0, help="Relative tolerance of numbers.")] = 0.0,
    atol: Annotated[float, typer.Option(min=0, help="Absolute tolerance of numbers.")] = 0.0,
    as_json: JSONFlag = False,
) -> None:
    """Run every step again with the same values, and compare what they give (exit code 1 if it differs)."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    from lume_services.cli.progress import Progress
    from lume_services.cli.selection import one
    from lume_services.errors import ResultNotFoundError, RunNotFoundError
    from lume_services.flows.plan import Plan
    from lume_services.flows.runs.lineage import run_of
    from lume_services.flows.runs.records import RunRecords
    from lume_services.flows.runs.rerun import rerun as run_again
    from lume_services.flows.spec import Spec

    records = RunRecords()
    try:
        run = records.run(name)
    except RunNotFoundError as no_run:
        try:
            run = run_of(one(name, None), records)
        except ResultNotFoundError:
            raise no_run from None
    plan = Plan.from_spec(Spec.model_validate(dict(run.spec)))
    with Progress(plan, quiet=as_json) as progress:
        done = run_again(run, records, rtol=rtol, atol=atol, on_step=progress.update)
    if as_json:
        print_json(
            {
                "run_id": run.run_id,
                "rerun_id": done.after.run_id,
                "steps": list(done.compared),
                "same": not done.differences,
                "differences": list(done.differences),
            }
        )
    elif not done.differences:
        typer.echo(f"The same: run {done.after.run_id} gives what run {run.run_id} gave.")
    else:
        typer.echo(f"Run {done.after.run_id} gives something else than run {run.run_id}:")
        for difference in done.differences:
            typer.echo(f"  {difference}")
    if done.differences:
        raise typer.Exit(1)
