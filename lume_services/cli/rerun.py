"""`lume-services rerun`: build a run again, and see whether it gives the same."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lume_services.cli.output import JSONFlag, confirm, echo, print_json

if TYPE_CHECKING:
    from lume_services.flows.runs.records import RunRecord, RunRecords
    from lume_services.flows.runs.rerun import Rerun
    from lume_services.flows.runs.spec_key import SpecKey


def rerun(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="A run, or a result that it made; or `latest`, the last run.")
    ],
    spec: Annotated[
        Path | None,
        typer.Argument(metavar="[SPEC]", help="The YAML file to run; that in the record if left out."),
    ] = None,
    *,
    rtol: Annotated[float, typer.Option(min=0, help="Relative tolerance of numbers.")] = 0.0,
    atol: Annotated[float, typer.Option(min=0, help="Absolute tolerance of numbers.")] = 0.0,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Run the code that the record names, without asking. Trust it first."
        ),
    ] = False,
    as_json: JSONFlag = False,
) -> None:
    """Run every step again with the same values, and compare what they give (exit code 1 if it differs).

    Without SPEC, the record of the run names the code: it is shown, and you are asked.
    """
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    from lume_services.cli.progress import Progress
    from lume_services.flows import FlowOfFlows, Plan, load_spec
    from lume_services.flows.runs.records import RunRecords
    from lume_services.flows.runs.rerun import rerun as run_again

    records = RunRecords()
    composed = FlowOfFlows.from_yaml(spec) if spec else None
    run = _run(name, records, composed.spec_key if composed else None)
    trusted = composed is None and (yes or _may_run(run))
    plan = composed.plan if composed else Plan.from_spec(load_spec(run.spec))
    with Progress(plan, quiet=as_json) as progress:
        done = run_again(
            run, records, composed, trust_record=trusted, rtol=rtol, atol=atol, on_step=progress.update
        )
    _report(run, done, as_json=as_json)
    if done.differences:
        raise typer.Exit(1)


def _run(name: str, records: RunRecords, of_spec: SpecKey | None) -> RunRecord:
    """Return the run, or the one that made the result."""
    from lume_services.cli.selection import one
    from lume_services.errors import ResultNotFoundError, RunNotFoundError
    from lume_services.flows.runs.lineage import run_of

    try:
        return records.run(name, of_spec)
    except RunNotFoundError as no_run:
        try:
            return run_of(one(name, None), records)
        except ResultNotFoundError:
            raise no_run from None


def _may_run(run: RunRecord) -> bool:
    """Ask a person at a terminal whether the code that a record names may be run."""
    from lume_services.flows.runs.rerun import recorded_code

    if not sys.stdin.isatty():
        return False
    echo(f"The record of run {run.run_id} names the code to run; others may have written it.", err=True)
    echo(f"  folder: {run.folder or 'none; installed packages only'}", err=True)
    for step, place in recorded_code(run).items():
        echo(f"  step {step}: {place or 'by its name'}", err=True)
    confirm("Run it?")
    return True


def _report(run: RunRecord, done: Rerun, *, as_json: bool) -> None:
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
        echo(f"The same: run {done.after.run_id} gives what run {run.run_id} gave.")
    else:
        echo(f"Run {done.after.run_id} gives something else than run {run.run_id}:")
        for difference in done.differences:
            echo(f"  {difference}")
