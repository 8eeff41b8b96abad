"""`lume-services results import|copy|delete|stats|reindex`: look after a results store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lume_services.cli.counting import counting
from lume_services.cli.output import JSONFlag, confirm, echo, print_json, print_table
from lume_services.cli.selection import Project, Query, Where, configured_service, filter_of, one, projects
from lume_services.errors import DecodeError, QueryError, ResultCorruptError, ResultNotFoundError

if TYPE_CHECKING:
    from lume_services.config import Context
    from lume_services.results import Transfer
    from lume_services.services.results import ResultsDBService

_STORE = "TYPE:FOLDER, as file:/data/results, or a configuration file. Default: the configured store."


class ImportFormat(StrEnum):
    """Formats that can be imported."""

    hdf5 = "hdf5"
    json = "json"
    jsonl = "jsonl"


def import_(
    path: Annotated[Path, typer.Argument(help="What `results export` wrote.", exists=True, dir_okay=False)],
    *,
    form: Annotated[
        ImportFormat | None, typer.Option("--format", help="Default: by the ending of the file.")
    ] = None,
    as_json: JSONFlag = False,
) -> None:
    """Store the results of an export, and compare each. Those that are there already are left."""
    from lume_services.results import import_results

    with counting("imported", None, quiet=as_json) as advance:
        transfers = import_results(
            path, configured_service(), file_format=str(form) if form else None, advance=advance
        )
    _report(transfers, as_json=as_json)


def copy(
    *,
    source: Annotated[str | None, typer.Option("--from", metavar="STORE", help=_STORE)] = None,
    target: Annotated[str | None, typer.Option("--to", metavar="STORE", help=_STORE)] = None,
    where: Where = None,
    query: Query = None,
    project: Project = None,
    runs: Annotated[
        bool,
        typer.Option(
            "--runs",
            help="Copy what is kept of runs, too, for the lineage of results. Resumed runs take values from "
            "there, so only from a store that you trust.",
        ),
    ] = False,
    as_json: JSONFlag = False,
) -> None:
    """Copy results to another store, and compare each. Type it again to resume an interrupted copy."""
    from lume_services.config import close_context
    from lume_services.flows.runs.lease import LEASES
    from lume_services.results import copy_results

    if source == target:
        raise QueryError("--from and --to are the same store.", remedy="Give one of them, or both.")
    condition = filter_of(where, query)
    if runs and (project is not None or condition is not None):
        raise QueryError("--runs is for a copy of all results.", remedy="Leave out --project and conditions.")
    contexts = [_context(source, "--from"), _context(target, "--to")]
    transfers: list[Transfer] = []
    errors: list[str] = []
    try:
        _check_there(contexts[0])
        before, after = (context.results_db_service() for context in contexts)
        names = projects(before, project)
        if runs:
            names = [*names, *(name for name in before.collections(of_runs=True) if name != LEASES)]
        with counting("copied", _total(before, names, condition), quiet=as_json) as advance:
            for name in names:
                with _noted(errors):
                    transfers.append(
                        copy_results(before, after, name, condition, of_runs=runs, advance=advance)
                    )
    finally:
        for context in contexts:
            close_context(context)
    _report(transfers, as_json=as_json)
    if errors:
        raise ResultCorruptError("\n".join(errors))


def delete(
    results: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="Ids or unique hashes, or their beginnings.")
    ] = None,
    *,
    where: Where = None,
    query: Query = None,
    project: Project = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all, without a condition.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JSONFlag = False,
) -> None:
    """Delete results, with the arrays that no other result has. It shows how many, and asks."""
    condition = filter_of(where, query)
    if [bool(results), condition is not None, everything].count(True) != 1:
        raise QueryError("it is not said which.", remedy="Give one: ids, or --where, or --query, or --all.")
    service = configured_service()
    names = projects(service, project)
    if results:
        ids = list(dict.fromkeys(_id_of(prefix, project) for prefix in results))
        condition, count = {"_id": {"$in": ids}}, len(ids)
    else:
        condition = condition or {}
        count = sum(service.count(collection=name, query=condition) for name in names)
    if count and not yes:
        confirm(f"Delete {_results(count)}?")
    deleted = sum(service.delete(collection=name, query=condition) for name in names)
    if as_json:
        print_json({"deleted": deleted})
    else:
        echo(f"{_results(deleted)} deleted")


def stats(*, project: Project = None, as_json: JSONFlag = False) -> None:
    """Show for each project how many results it has, their size, their dates, and the largest arrays."""
    service = configured_service()
    found = [service.stats(collection=name) for name in projects(service, project)]
    if as_json:
        print_json([asdict(one_project) for one_project in found])
        return
    columns = ("project", "results", "damaged", "size", "first", "last")
    rows = [
        (of.collection, of.results, of.damaged, _size(of.nbytes), _date(of.first), _date(of.last))
        for of in found
    ]
    print_table("Results", columns, rows)
    parts = [
        (of.collection, part.path, part.record_id, _size(part.nbytes)) for of in found for part in of.largest
    ]
    if parts:
        echo()
        print_table("Largest arrays", ("project", "array", "id", "size"), parts)


def reindex(*, as_json: JSONFlag = False) -> None:
    """Make the indices anew, remove what killed writers left, and name damaged results (exit code 1)."""
    done = configured_service().reindex()
    if as_json:
        print_json(asdict(done))
    else:
        echo(str(done))
    if done.damaged:
        raise typer.Exit(1)


def _context(store: str | None, option: str) -> Context:
    from lume_services.config import build_context
    from lume_services.config.store import read_store

    return build_context(read_store(store, where=option) if store else None)


@contextmanager
def _noted(errors: list[str]) -> Iterator[None]:
    """Take note of results that cannot be read; all others were copied."""
    try:
        yield
    except (DecodeError, ResultCorruptError) as error:
        errors.append(str(error))


def _check_there(context: Context) -> None:
    """Refuse a folder that is not there: an embedded store would make it, and be empty."""
    folder = getattr(context.settings().results_db, "path", None)
    if folder is not None and not folder.exists():
        raise ResultNotFoundError("there is no results store.", where=str(folder), remedy="Correct --from.")


def _id_of(prefix: str, project: str | None) -> str:
    try:
        return str(one(prefix, project)["_id"])
    except ResultCorruptError as error:
        if getattr(error, "ids", None) != [prefix]:
            raise
        return prefix  # a damaged record is deleted by its whole id


def _total(
    service: ResultsDBService, names: Sequence[str], condition: Mapping[str, Any] | None
) -> int | None:
    try:
        return sum(service.count(collection=name, query=condition) for name in names)
    except ResultCorruptError:
        return None  # not known: the copy tells of it when all others are done


def _results(count: int) -> str:
    return f"{count} result{'' if count == 1 else 's'}"


def _report(transfers: Sequence[Transfer], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(transfer) for transfer in transfers])
        return
    for transfer in transfers:
        echo(f"{transfer.collection}: {transfer.copied} copied, {transfer.present} were there already")


def _size(nbytes: int) -> str:
    from rich.filesize import decimal

    return decimal(nbytes)


def _date(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else ""
