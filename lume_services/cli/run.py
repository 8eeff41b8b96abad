"""`lume-services run`: run a flow-of-flows from its spec."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lume_services.cli.command import command_line
from lume_services.cli.output import JSONFlag, print_json
from lume_services.cli.values import ParamsOption, SetOption, SpecArgument, read_flow_of_flows
from lume_services.errors import StepFailedError

if TYPE_CHECKING:
    from lume_services.flows.flow_of_flows import FlowOfFlowsRun


def run(
    spec: SpecArgument,
    *,
    values: SetOption = None,
    params: ParamsOption = None,
    logs: Annotated[bool, typer.Option("--logs", help="Show what the flows log, on standard error.")] = False,
    as_json: JSONFlag = False,
) -> None:
    """Check a spec whole, then run it, each step as soon as its parents are done."""
    # The engine logs every error with its traceback; the error that ends the run is told once, by us.
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO" if logs else "CRITICAL")
    from lume_services.cli.progress import Progress

    composed, given = read_flow_of_flows(spec, params, values or [])
    with Progress(composed.plan, quiet=as_json) as progress:
        try:
            done = composed.run(given, on_step=progress.update)
        except StepFailedError as error:
            if not as_json:
                raise
            print_json({"state": "failed", "error": str(error), "steps": progress.as_data()})
            raise typer.Exit(1) from None
    if as_json:
        print_json(_as_data(done, progress.as_data()))
    else:
        _report(done, spec)


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
            typer.echo(f"\n{value['summary']}")
    if files := list(dict.fromkeys(path for _, path in _files(done.results))):
        typer.echo("\nFiles:")
        for path in files:
            typer.echo(f"  {path}")
    results = list(_references(done.results, "result_type_string"))
    typer.echo("\nNext:")
    for project in dict.fromkeys(str(reference["project_name"]) for reference in results):
        typer.echo(f"  {command_line('results', 'list', '--project', project)}")
    if results:
        typer.echo(f"  {command_line('results', 'show', results[-1]['query']['unique_hash'][:12])}")
    typer.echo(f"  {command_line('graph', str(spec), '--svg', 'graph.svg')}")


def _references(value: Any, mark: str) -> Iterator[Mapping[str, Any]]:
    """Yield the references within a nested value: mappings that have the key `mark`."""
    if isinstance(value, Mapping):
        if isinstance(value.get(mark), str):
            yield value
        for item in value.values():
            yield from _references(item, mark)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _references(item, mark)


def _files(results: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    from lume_services.files import load_reference

    for reference in _references(results, "file_type_string"):
        yield reference, str(load_reference(reference).path())
