"""`lume-services runs`: the runs of flows-of-flows, and the flow runs of the Prefect server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lume_services.cli.output import JSONFlag, echo, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Look at runs, and look after them.", rich_markup_mode=None)


@app.command("list")
def list_runs(
    *,
    name: Annotated[str | None, typer.Option("--name", "-n", help="Only those of this spec.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1, help="At most so many.")] = 20,
    as_json: JSONFlag = False,
) -> None:
    """List the runs of flows-of-flows, the last one first."""
    from lume_services.flows.runs.records import RunRecords

    found = list(RunRecords().runs(name, limit))
    if as_json:
        print_json([{key: value for key, value in vars(run).items() if key != "spec"} for run in found])
        return
    rows = (
        (run.run_id, run.name, f"{run.began:%Y-%m-%d %H:%M:%S}", run.backend, run.provenance.get("host", ""))
        for run in found
    )
    print_table("Runs", ("run", "spec", "began", "backend", "host"), rows)


@app.command()
def delete(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN_ID]...", help="Runs, as `runs list` names them.")
    ] = None,
    *,
    older_than: Annotated[
        float | None,
        typer.Option(min=0, metavar="DAYS", help="Those that began so many days ago."),
    ] = None,
) -> None:
    """Delete what is kept of runs, of those that they resume, and of their steps. Results and files stay.

    With --older-than, the values go too that jobs kept so long ago for their callers.
    """
    from datetime import UTC, datetime, timedelta

    from lume_services.flows.runs.records import RunRecords

    if not runs and older_than is None:
        raise typer.BadParameter("Give a RUN_ID, or --older-than.")
    records = RunRecords()
    roots = {records.run(run).root for run in runs or ()}
    removed = 0
    if older_than is not None:
        from lume_services.files.run_results import remove_run_results

        before = datetime.now(UTC) - timedelta(days=older_than)
        began: dict[str, datetime] = {}
        for run in records.runs():  # the last one first
            began.setdefault(run.root, run.began)
        roots |= {root for root, last in began.items() if last <= before}
        removed = remove_run_results(before)
    count = records.delete(roots)
    echo(f"{count} {'run' if count == 1 else 'runs'} deleted.")
    if removed:
        echo(f"{removed} {'file' if removed == 1 else 'files'} with values of jobs removed.")


@app.command()
def reconcile(
    *,
    silent_for: Annotated[
        float | None,
        typer.Option(
            min=1, help="Seconds without a sign of life that mean the end. Default: three heartbeats."
        ),
    ] = None,
    as_json: JSONFlag = False,
) -> None:
    """Bring runs to a true state that a worker or a caller left behind: ended, or scheduled again."""
    from lume_services.config import current_context
    from lume_services.services.scheduling.backends.server_api import ServerAPI
    from lume_services.services.scheduling.reconcile import SILENT_SECONDS
    from lume_services.services.scheduling.reconcile import reconcile as reconcile_runs

    prefect = current_context().settings().prefect
    with ServerAPI(prefect.api_url, prefect.api_auth_string).client() as client:
        ended = reconcile_runs(client, silent_for or SILENT_SECONDS)
    if as_json:
        print_json([asdict(run) for run in ended])
    elif ended:
        rows = ((run.name, run.before, run.after, run.why) for run in ended)
        print_table("Reconciled", ("run", "was", "is", "why"), rows)
    else:
        echo("Every run is in a true state.")
