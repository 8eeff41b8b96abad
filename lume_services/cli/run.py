"""`lume-services run`: run a flow-of-flows from its spec."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lume_services.cli.command import command_line
from lume_services.cli.output import JSONFlag, echo, echo_lines, print_json
from lume_services.cli.values import ParamsOption, SetOption, SpecArgument, read_flow_of_flows, read_part
from lume_services.errors import StepFailedError
from lume_services.values.references import references

if TYPE_CHECKING:
    from lume_services.cli.progress import Progress
    from lume_services.flows.flow_of_flows import FlowOfFlowsRun


def run(
    spec: SpecArgument,
    *,
    values: SetOption = None,
    params: ParamsOption = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN_ID", help="Go on from this run, or from `latest`: finished steps are taken."
        ),
    ] = None,
    from_step: Annotated[
        str | None, typer.Option("--from", metavar="STEP", help="Run this step and all after it again.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="STEP", help="Run this step alone, with what ran before it.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Run every step and every task, whatever is known of them.")
    ] = False,
    retries: Annotated[int, typer.Option(min=0, help="Go on so often by itself after a step failed.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Run at most so many steps at the same time.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say of each step why it ran, or did not.")
    ] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Show what the flows log, on standard error.")] = False,
    as_json: JSONFlag = False,
) -> None:
    """Check a spec whole, then run it, each step as soon as its parents are done."""
    # The engine logs every error with its traceback; the error that ends the run is told once, by us.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO" if logs else "CRITICAL")
    from lume_services.cli.progress import Progress

    # The values of an earlier run are added to those that are given.
    read = read_part if resume or from_step or only else read_flow_of_flows
    composed, given = read(spec, params, values or [])
    with Progress(composed.plan, quiet=as_json) as progress:
        try:
            done = composed.run(
                given,
                on_step=progress.update,
                resume=resume,
                from_step=from_step,
                only=only,
                no_cache=no_cache,
                retries=retries,
                limit=limit,
            )
        except StepFailedError as error:
            if not as_json:
                _explain(progress, explain)
                _say_how_to_go_on(error, spec)
                raise
            print_json(_failed(error, progress))
            raise typer.Exit(1) from None
    if as_json:
        print_json(_as_data(done, progress.as_data()))
    else:
        _explain(progress, explain)
        _report(done, spec)


def _say_how_to_go_on(error: StepFailedError, spec: object) -> None:
    go_on = command_line("run", str(spec), "--resume", str(error.whole_run_id))
    echo(f"To go on from here: {go_on}", err=True)


def _failed(error: StepFailedError, progress: Progress) -> dict[str, Any]:
    failed = {"state": "failed", "run_id": error.whole_run_id, "error": str(error)}
    return {**failed, "steps": progress.as_data()}


def _explain(progress: Progress, explain: bool) -> None:
    if explain:
        for step in progress.as_data():
            what = {"completed": "ran", "failed": "ran, and failed"}.get(step["state"], step["state"])
            echo(f"{step['step']} {what}" + (f": {step['why']}." if step["why"] else "."))


def _as_data(done: FlowOfFlowsRun, steps: list[dict[str, Any]]) -> dict[str, Any]:
    from lume_services.cli.outline import outline

    return {
        "state": str(done.state.name).lower(),
        "run_id": done.run_id,
        "steps": steps,
        "results": {step: outline(value) for step, value in done.results.items()},
        "files": [{**reference, "path": path} for reference, path in _files(done.results)],
    }


def _report(done: FlowOfFlowsRun, spec: object) -> None:
    for value in done.results.values():
        if isinstance(value, Mapping) and isinstance(value.get("summary"), str):
            echo()
            echo_lines(value["summary"])
    if files := list(dict.fromkeys(path for _, path in _files(done.results))):
        echo()
        echo("Files:")
        for path in files:
            echo(f"  {path}")
    results = list(references(done.results, "result_type_string"))
    echo()
    echo("Next:")
    for project in dict.fromkeys(str(reference["project_name"]) for reference in results):
        echo(f"  {command_line('results', 'list', '--project', project)}")
    if results:
        echo(f"  {command_line('results', 'show', results[-1]['query']['unique_hash'][:12])}")
    echo(f"  {command_line('graph', str(spec), '--svg', 'graph.svg')}")


def _files(results: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    from lume_services.files import load_reference

    for reference in references(results, "file_type_string"):
        yield reference, str(load_reference(reference).path())
