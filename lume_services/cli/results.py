"""`lume-services results`: find stored results, look at one, write them to a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lume_services.cli import lineage, store
from lume_services.cli.outline import outline
from lume_services.cli.output import JSONFlag, console, echo, print_json, print_table, shown
from lume_services.cli.selection import Project, Query, Where, filter_of, found, one

app = typer.Typer(
    no_args_is_help=True, help="Find results, and look after their store.", rich_markup_mode=None
)

Sort = Annotated[
    str | None, typer.Option("--sort", help="Path to sort by, as outputs.y; -outputs.y for greatest first.")
]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")]

ID_LENGTH = 12
SHOWN_OUTPUTS = 4


class Format(StrEnum):
    """Formats of an export."""

    csv = "csv"
    json = "json"
    jsonl = "jsonl"
    parquet = "parquet"
    hdf5 = "hdf5"


@app.command("list")
def list_results(
    *,
    where: Where = None,
    query: Query = None,
    project: Project = None,
    fields: Annotated[
        str | None, typer.Option("--fields", "-f", help="Columns, as outputs.y,inputs.x.")
    ] = None,
    sort: Sort = "-date_modified",
    limit: Limit = 50,
    as_json: JSONFlag = False,
) -> None:
    """List results, the newest first. Arrays are named, not printed."""
    names = fields.split(",") if fields else None
    records = found(filter_of(where, query), project, sort, limit)
    if as_json:
        print_json([outline(record) for record in records])
    elif names:
        print_table(
            "Results", ("id", *names), ((_id(r), *(_cell(r, name) for name in names)) for r in records)
        )
    else:
        print_table("Results", ("id", "project", "date", "flow", "outputs"), map(_row, records))


@app.command()
def show(
    result: Annotated[str, typer.Argument(metavar="ID", help="Id or unique hash, or the beginning of one.")],
    *,
    project: Project = None,
    as_json: JSONFlag = False,
) -> None:
    """Show one result whole. Arrays are named, not printed."""
    record = one(result, project)
    if as_json:
        print_json(outline(record))
        return
    from rich.tree import Tree

    tree = Tree(shown(f"result {record['_id']}"))
    _grow(tree, {key: value for key, value in outline(record).items() if key != "_id"})
    console().print(tree)


@app.command()
def export(
    path: Annotated[Path | None, typer.Argument(help="File to write. Default: results.FORMAT.")] = None,
    *,
    form: Annotated[
        Format | None, typer.Option("--format", help="Default: by the ending of the file.")
    ] = None,
    where: Where = None,
    query: Query = None,
    project: Project = None,
    sort: Sort = None,
    limit: Limit = None,
) -> None:
    """Write results to a file. JSON and HDF5 keep arrays whole; CSV names them only."""
    from lume_services.results import export_results

    if path is None:
        path = Path(f"results.{form or Format.csv}")
    records = found(filter_of(where, query), project, sort, limit)
    count = export_results(records, path, file_format=str(form) if form else None)
    echo(f"{count} results written to {path}")


app.command("lineage")(lineage.show_lineage)
app.command("import")(store.import_)
app.command("copy")(store.copy)
app.command("delete")(store.delete)
app.command("stats")(store.stats)
app.command("reindex")(store.reindex)


def _id(record: Mapping[str, Any]) -> str:
    """Return the beginning of the hash: ids begin with the time, so many begin alike."""
    return str(record.get("unique_hash", record["_id"]))[:ID_LENGTH]


def _cell(record: Mapping[str, Any], path: str) -> str:
    from lume_services.results.plain import cell
    from lume_services.values.select import SelectionError, select

    try:
        return cell(select(record, path.split("."), where="--fields"))
    except SelectionError:
        return ""


def _row(record: Mapping[str, Any]) -> tuple[str, ...]:
    from lume_services.results.plain import cell

    outputs = record.get("outputs", {})
    numbers = {name: value for name, value in outputs.items() if isinstance(value, int | float | str)}
    shown = ", ".join(f"{name}={_short(value)}" for name, value in list(numbers.items())[:SHOWN_OUTPUTS])
    more = ", …" if len(outputs) > min(len(numbers), SHOWN_OUTPUTS) else ""
    flow = record.get("provenance", {}).get("flow_name") or ""
    date = cell(record.get("date_modified"))[:19].replace("T", " ")
    return _id(record), str(record.get("project_name", "")), date, flow, shown + more


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _grow(tree: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            _grow(tree.add(shown(key)), value)
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            tree.add(shown(f"{key}: {text}"))
