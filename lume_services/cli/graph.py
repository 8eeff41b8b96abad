"""`lume-services graph`: a picture of a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lume_services.cli.output import JSONFlag, print_json
from lume_services.cli.values import SpecArgument


def graph(
    spec: SpecArgument,
    *,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write a picture to this file.")] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid flowchart.")] = False,
    as_json: JSONFlag = False,
) -> None:
    """Draw the steps of a spec and what goes between them. No flow is imported."""
    from lume_services.flows import graph_data, graph_mermaid, graph_svg, graph_text, load_spec
    from lume_services.flows.plan import Plan

    plan = Plan.from_spec(load_spec(spec))
    if svg is not None:
        from lume_services.services.files.atomic import atomic_path

        with atomic_path(svg.resolve()) as temporary:
            temporary.write_text(graph_svg(plan), encoding="utf-8")
        typer.echo(f"{svg} written", err=True)
    if as_json:
        print_json(graph_data(plan))
    elif mermaid:
        typer.echo(graph_mermaid(plan), nl=False)
    elif svg is None:
        typer.echo(graph_text(plan), nl=False)
