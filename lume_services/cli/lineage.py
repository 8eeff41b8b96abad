"""`lume-services results lineage`: where a result comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lume_services.cli.outline import outline
from lume_services.cli.output import JSONFlag, console, print_json, shown
from lume_services.cli.selection import Project, one
from lume_services.results.plain import cell
from lume_services.values import fingerprint

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from lume_services.flows.runs.lineage import Ancestor, Lineage

_WIDE = 10_000  # characters: no line is broken or cut in a pipe


def show_lineage(
    result: Annotated[str, typer.Argument(metavar="ID", help="Id or unique hash, or the beginning of one.")],
    *,
    project: Project = None,
    as_json: JSONFlag = False,
) -> None:
    """Print where a result comes from: run, spec, versions, and the steps before it."""
    from lume_services.flows.runs.lineage import lineage

    found = lineage(one(result, project))
    if as_json:
        print_json(outline(found.as_data()))
    else:
        out = console()
        out.print(_tree(found), crop=False, width=None if out.is_terminal else _WIDE)


def _tree(found: Lineage) -> Tree:
    from rich.tree import Tree

    provenance = found.result["provenance"]
    tree = Tree(_line(f"result {found.result['_id']} ({found.result['project_name']})"))
    about = {
        "flow": provenance.get("flow_name"),
        "made": cell(found.result["date_modified"]),
        "by": f"{provenance.get('user')} on {provenance.get('host')}",
        "versions": ", ".join(f"{name} {text}" for name, text in provenance.get("packages", {}).items()),
        "commit": provenance.get("code_version"),
    }
    if found.run is not None:
        about["run"] = f"{found.run.run_id} of the spec {found.run.name} on {found.run.backend}"
        about["spec"] = str(found.spec_fingerprint)
    for name, value in about.items():
        if value:
            tree.add(_line(f"{name}: {value}"))
    if found.step is not None:
        _grow(tree, found.step, "", set())
    return tree


def _grow(tree: Any, step: Ancestor, prefix: str, shown: set[str]) -> None:
    """Add a step with all that it depends on; one that was added already is only named."""
    record = step.record
    if record.id in shown:
        tree.add(_line(f"{prefix}step {record.step}, as above"))
        return
    shown.add(record.id)
    code = fingerprint(vars(record.code))[:12]
    branch = tree.add(_line(f"{prefix}step {record.step} (flow {record.flow}, code {code})"))
    for name, value in record.given.items():
        branch.add(_line(f"{name} = {'None' if value is None else cell(value)}"))
    by_parent: dict[str, list[str]] = {}
    for name, parent in step.parents.items():
        by_parent.setdefault(parent.record.step, []).append(name)
    for names in by_parent.values():
        _grow(branch, step.parents[names[0]], f"{', '.join(names)} <- ", shown)


def _line(text: str) -> Text:
    line = shown(text)
    line.no_wrap, line.overflow = True, "ignore"
    return line
