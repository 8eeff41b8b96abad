"""`lume-services validate`: check a spec without running anything."""

from __future__ import annotations

import typer

from lume_services.cli.output import JSONFlag, echo, print_json
from lume_services.cli.values import ParamsOption, SetOption, SpecArgument, read_flow_of_flows
from lume_services.errors import SpecError


def validate(
    spec: SpecArgument,
    *,
    values: SetOption = None,
    params: ParamsOption = None,
    as_json: JSONFlag = False,
) -> None:
    """Check a spec and the values for a run; report all problems at once (exit code 2). Nothing runs."""
    try:
        composed, _ = read_flow_of_flows(spec, params, values or [])
    except SpecError as error:
        if not as_json:
            raise
        print_json({"valid": False, "problems": [p.as_dict() for p in error.problems], "warnings": []})
        raise typer.Exit(2) from None
    if as_json:
        warnings = [warning.as_dict() for warning in composed.warnings]
        print_json({"valid": True, "problems": [], "warnings": warnings})
        return
    for warning in composed.warnings:
        echo(f"Warning: {warning}", err=True)
    count = len(composed.steps)
    echo(f"{spec} is valid: {count} {'step' if count == 1 else 'steps'}, ready to run.")
