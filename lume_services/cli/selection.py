"""Which results a command of `lume-services results` is about: options, and what they mean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lume_services.errors import QueryError, ResultNotFoundError, choose_from

if TYPE_CHECKING:
    from lume_services.services.results import ResultsDBService

Where = Annotated[
    str | None,
    typer.Option("--where", "-w", help="Condition, as \"outputs.y < 2e-6 and inputs.mode = 'fast'\"."),
]
Query = Annotated[
    str | None, typer.Option("--query", "-q", help="MongoDB filter as JSON, instead of --where.")
]
Project = Annotated[str | None, typer.Option("--project", "-p", help="Only this project.")]


def filter_of(where: str | None, query: str | None) -> Mapping[str, Any] | None:
    """Return the filter that the options mean; None where none is given.

    Raises:
        QueryError: Both are given, or what is given is no filter.
    """
    from lume_services.results import parse_where

    if where and query:
        raise QueryError("--where and --query are both given.", remedy="Give one of them.")
    if where:
        return parse_where(where)
    try:
        found = json.loads(query) if query else None
    except (ValueError, RecursionError) as error:
        raise QueryError(
            f"not valid JSON: {error}.", where="--query", remedy='Write it as \'{"outputs.y": {"$gt": 2}}\'.'
        ) from error
    if found is not None and not isinstance(found, dict):
        raise QueryError("a filter is a JSON object.", where="--query", remedy="As '{\"outputs.y\": 2}'.")
    return found


def configured_service() -> ResultsDBService:
    """Return the configured results store."""
    from lume_services.config import current_context

    service: ResultsDBService = current_context().results_db_service()
    return service


def projects(service: ResultsDBService, project: str | None) -> list[str]:
    """Return the names of the projects to look into.

    Raises:
        ResultNotFoundError: The store has none of the given name.
    """
    known = service.collections()
    if project is not None and project not in known:
        raise ResultNotFoundError(f"there is no project {project!r}.", remedy=choose_from(project, known))
    return [project] if project else known


def found(
    query: Mapping[str, Any] | None, project: str | None, sort: str | None, limit: int | None
) -> Iterator[dict[str, Any]]:
    """Stream the results that match: of all projects in one order, or else project by project."""
    service = configured_service()
    return service.find_in(projects(service, project), query=query, sort=sort, limit=limit)


def one(prefix: str, project: str | None) -> dict[str, Any]:
    """Return the one result whose id or hash begins so.

    Raises:
        ResultNotFoundError: None does.
        QueryError: Several do.
    """
    import re

    beginning = {"$regex": f"^{re.escape(prefix)}"}
    for query in ({"_id": prefix}, {"$or": [{"_id": beginning}, {"unique_hash": beginning}]}):
        records = list(found(query, project, None, 2))
        if len(records) == 1:
            return records[0]
        if records:
            raise QueryError(
                f"several results begin with {prefix!r}.",
                remedy=f"Write more of it: {', '.join(record['_id'] for record in records)}.",
            )
    raise ResultNotFoundError(
        f"there is no result {prefix!r}.", remedy="`lume-services results list` lists what is there."
    )
