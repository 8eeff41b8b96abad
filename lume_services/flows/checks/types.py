"""Compare the type of what a step gives with the type of the parameter that takes it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from lume_services.flows.checks.annotations import type_name
from lume_services.flows.checks.compatible import Misfit, misfit
from lume_services.flows.checks.findings import Findings
from lume_services.flows.checks.part import NoSuchPartError, types_at
from lume_services.flows.spec import MappedParameter
from lume_services.values.written import Loc


def check_types(mapped: MappedParameter, given: Any, wanted: Any, loc: Loc, findings: Findings) -> None:
    """Find what is wrong with the types of a mapping.

    Args:
        mapped: The mapping.
        given: The type of what the parent's flow or task gives.
        wanted: The type of the parameter.
        loc: Where the mapping stands.
        findings: Takes the problem.
    """
    loads_result = mapped.map_type == "db" and mapped.attribute_index is not None
    if loads_result and misfit(given, Mapping):
        message = f"{_source(mapped)} is {type_name(given)}, but a reference to a result is a dict."
        findings.problem((*loc, "map_type"), message, "Map what save_db_result returns.")
        return
    whole = [_result_type()] if loads_result else _handed_over(mapped, given)
    try:
        parts = types_at(whole, mapped.attribute_index or [])
    except NoSuchPartError as error:
        message = f"{_whole(mapped)}: {error.message}"
        findings.problem((*loc, "attribute_index"), message, error.remedy)
        return
    misfits = [found for found in (misfit(part, wanted) for part in parts) if found]
    if len(misfits) == len(parts):
        # Without an index, the list of what a task returned is not worth a word.
        shown = parts if mapped.attribute_index else parts[:1]
        message = f"{_part(mapped)} is {_in_words(shown, wanted, misfits[0])}."
        findings.problem(loc, message, "Map another value, or change one of the two annotations.")


def _result_type() -> Any:
    from lume_services.results import Result

    return Result


def _handed_over(mapped: MappedParameter, given: Any) -> Sequence[Any]:
    if given is Any and mapped.map_type != "raw":
        return [dict]  # a reference
    # A task that runs more than once hands over a list.
    return [given, list[given]] if mapped.parent_task_name else [given]


def _source(mapped: MappedParameter) -> str:
    """Name what a step gives: `the result of the task 'track' of 'beam'`."""
    task = mapped.parent_task_name
    what = f"the result of the task {task!r}" if task else "the return value"
    return f"{what} of {mapped.parent_flow_name!r}"


def _whole(mapped: MappedParameter) -> str:
    """Name what a step gives as it is mapped: `the reference to the file of 'beam'`."""
    if mapped.map_type == "raw":
        return _source(mapped)
    what = "file" if mapped.map_type == "file" else "result"
    reference = "the stored" if mapped.attribute_index else "the reference to the"
    return f"{reference} {what} of {mapped.parent_flow_name!r}"


def _part(mapped: MappedParameter) -> str:
    """Name what a step hands over: `the return value of 'beam' at ['charge']`."""
    index = "".join(f"[{part!r}]" for part in mapped.attribute_index or ())
    return f"{_whole(mapped)} at {index}" if index else _whole(mapped)


def _in_words(given: Sequence[Any], wanted: Any, why: Misfit) -> str:
    names, wanted_name = list(dict.fromkeys(map(type_name, given))), type_name(wanted)
    if wanted_name in names:  # of two classes of one name
        names, wanted_name = [*map(inspect.formatannotation, given)], inspect.formatannotation(wanted)
    words = f"{' | '.join(names)}, which never fits the parameter's {wanted_name}"
    if len(given) > 1 or not why.path:
        return words
    return f"{words}: {', '.join(why.path)} is {type_name(why.given)}, not {type_name(why.wanted)}"
