"""`lume-services results`: find stored results, look at one, take them elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lume_services.cli.outline import outline
from lume_services.cli.output import JSONFlag, console, print_json, print_table
from lume_services.errors import QueryError, ResultNotFoundError, choose_from

if TYPE_CHECKING:
    from lume_services.services.results import ResultsDBService

app = typer.Typer(no_args_is_help=True, help="Find, show and export results.", rich_markup_mode=None)

Where = Annotated[
    str | None,
    typer.Option("--where", "-w", help="Condition, as \"outputs.y < 2e-6 and inputs.mode = 'fast'\"."),
]
Query = Annotated[
    str | None, typer.Option("--query", "-q", help="MongoDB filter as JSON, instead of --where.")
]
Project = Annotated[str | None, typer.Option("--project", "-p", help="Only this project.")]
Sort = Annotated[
    str | None, typer.Option("--sort", help="Path to sort by, as outputs.y; -outputs.y for greatest first.")
]
Limit = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many of each project.")]

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
    found = _found(_filter(where, query), project, sort, limit)
    if as_json:
        print_json([outline(record) for record in found])
    elif names:
        print_table("Results", ("id", *names), ((_id(r), *(_cell(r, name) for name in names)) for r in found))
    else:
        print_table("Results", ("id", "project", "date", "flow", "outputs"), map(_row, found))


@app.command()
def show(
    result: Annotated[str, typer.Argument(metavar="ID", help="Id or unique hash, or the beginning of one.")],
    *,
    project: Project = None,
    as_json: JSONFlag = False,
) -> None:
    """Show one result whole. Arrays are named, not printed."""
    record = _one(result, project)
    if as_json:
        print_json(outline(record))
        return
    from rich.tree import Tree

    tree = Tree(f"result {record['_id']}")
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
    records = _found(_filter(where, query), project, sort, limit)
    count = export_results(records, path, file_format=str(form) if form else None)
    typer.echo(f"{count} results written to {path}")


def _filter(where: str | None, query: str | None) -> Mapping[str, Any] | None:
    from lume_services.results import parse_where

    if where and query:
        raise QueryError("--where and --query are both given.", remedy="Give one of them.")
    if where:
        return parse_where(where)
    try:
        found = json.loads(query) if query else None
    except json.JSONDecodeError as error:
        raise QueryError(
            f"not valid JSON: {error}.", where="--query", remedy='Write it as \'{"outputs.y": {"$gt": 2}}\'.'
        ) from error
    if found is not None and not isinstance(found, dict):
        raise QueryError("a filter is a JSON object.", where="--query", remedy="As '{\"outputs.y\": 2}'.")
    return found


def _service() -> ResultsDBService:
    from lume_services.config import current_context

    service: ResultsDBService = current_context().results_db_service()
    return service


def _projects(project: str | None) -> list[str]:
    known = _service().collections()
    if project is not None and project not in known:
        raise ResultNotFoundError(f"there is no project {project!r}.", remedy=choose_from(project, known))
    return [project] if project else known


def _found(
    query: Mapping[str, Any] | None, project: str | None, sort: str | None, limit: int | None
) -> Iterator[dict[str, Any]]:
    service = _service()
    names = _projects(project)
    return chain.from_iterable(
        [service.find(collection=name, query=query, sort=sort, limit=limit) for name in names]
    )


def _one(prefix: str, project: str | None) -> dict[str, Any]:
    import re

    beginning = {"$regex": f"^{re.escape(prefix)}"}
    for query in ({"_id": prefix}, {"$or": [{"_id": beginning}, {"unique_hash": beginning}]}):
        found = list(_found(query, project, None, 2))
        if len(found) == 1:
            return found[0]
        if found:
            raise QueryError(
                f"several results begin with {prefix!r}.",
                remedy=f"Write more of it: {', '.join(record['_id'] for record in found)}.",
            )
    raise ResultNotFoundError(
        f"there is no result {prefix!r}.", remedy="`lume-services results list` lists what is there."
    )


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
    from rich.markup import escape

    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            _grow(tree.add(escape(str(key))), value)
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            tree.add(escape(f"{key}: {text}"))
