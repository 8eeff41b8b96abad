"""`lume-services graph`: a picture of a spec, or of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lume_services.cli.output import JSONFlag, echo, echo_lines, print_json

if TYPE_CHECKING:
    from lume_services.flows import Plan
    from lume_services.flows.runs.status import StepStatus


def graph(
    spec: Annotated[
        Path | None, typer.Argument(metavar="[SPEC]", help="The YAML file; that of the run if left out.")
    ] = None,
    *,
    run: Annotated[
        str | None,
        typer.Option(metavar="RUN_ID", help="Show how the steps of a run stand; or `latest`."),
    ] = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write a picture to this file.")] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid flowchart.")] = False,
    as_json: JSONFlag = False,
) -> None:
    """Draw the steps of a spec and what goes between them. No flow is imported."""
    from lume_services.flows import graph_data, graph_mermaid, graph_svg, graph_text

    plan, status = _plan_and_status(spec, run)
    if svg is not None:
        from lume_services.services.files.atomic import atomic_path

        with atomic_path(svg.resolve()) as temporary:
            temporary.write_text(graph_svg(plan, status), encoding="utf-8")
        echo(f"{svg} written", err=True)
    if as_json:
        print_json(graph_data(plan, status))
    elif mermaid:
        echo_lines(graph_mermaid(plan, status))
    elif svg is None:
        echo_lines(graph_text(plan, status))


def _plan_and_status(path: Path | None, run_id: str | None) -> tuple[Plan, Mapping[str, StepStatus] | None]:
    from lume_services.flows import Plan, load_spec

    if run_id is None:
        if path is None:
            raise typer.BadParameter("Give a SPEC, or --run.")
        return Plan.from_spec(load_spec(path)), None
    from lume_services.flows.runs.records import RunRecords
    from lume_services.flows.runs.spec_key import SpecKey
    from lume_services.flows.runs.status import status_of

    records = RunRecords()
    spec = load_spec(path) if path else None
    found = records.run(run_id, SpecKey.of(spec.name, spec.project_name, {}, path) if spec else None)
    return Plan.from_spec(load_spec(found.spec)), status_of(found, records)
