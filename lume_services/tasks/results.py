"""Save results and load them by reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from lume_services.results import Result, load_result
from lume_services.values.select import select


@task(cache_policy=NO_CACHE)
def save_db_result(result: Result) -> dict[str, Any]:
    """Store a result and return the reference to it.

    The same content is stored once, however often this runs.

    Returns:
        Plain values that JSON can hold: project, unique hash, type.
    """
    result.insert()
    return result.unique_rep()


@task(cache_policy=NO_CACHE)
def load_db_result(result_rep: Mapping[str, Any], attribute_index: Sequence[str | int] | None = None) -> Any:
    """Return a stored result, or one value out of it.

    Args:
        result_rep: The reference that `save_db_result` returned.
        attribute_index: Where the value is, as `["outputs", "y"]`; none means the whole result.

    Raises:
        ResultNotFoundError: No such result is stored.
        LookupError: There is nothing at the attribute index; the message names what is there.
    """
    result = load_result(result_rep)
    return select(result, attribute_index, where="load_db_result") if attribute_index else result


@task(cache_policy=NO_CACHE)
def get_db_result(result_rep: Mapping[str, Any]) -> Result:
    """Return a stored result of any registered type.

    Args:
        result_rep: The reference that `save_db_result` returned.

    Raises:
        ResultNotFoundError: No such result is stored.
    """
    return load_result(result_rep)
