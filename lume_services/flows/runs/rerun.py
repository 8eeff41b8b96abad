"""Runs that are built again, to see whether they give the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lume_services.errors import LUMEServicesError, NotTrustedError, RunNotFoundError
from lume_services.files import load_reference
from lume_services.flows.events import Observer
from lume_services.flows.flow_of_flows import FlowOfFlows, FlowOfFlowsRun
from lume_services.flows.load import load_spec
from lume_services.flows.resolve import importable_from
from lume_services.flows.runs.records import RunRecord, RunRecords
from lume_services.results import load_result
from lume_services.values.compare import differences

_FILE, _RESULT = "file_type_string", "result_type_string"
# What says where and when a thing was stored, and not what it is.
_PLACES = frozenset({"checksum", "size", "query", "date_modified"})


@dataclass(frozen=True)
class Rerun:
    """A run, and the one that was built again from it.

    Attributes:
        before: The run.
        after: The new one.
        compared: The steps that were compared.
        differences: What is different, with its path.
    """

    before: RunRecord
    after: FlowOfFlowsRun
    compared: tuple[str, ...]
    differences: tuple[str, ...]


def rerun(
    run: RunRecord,
    records: RunRecords,
    composed: FlowOfFlows | None = None,
    *,
    trust_record: bool = False,
    rtol: float = 0.0,
    atol: float = 0.0,
    on_step: Observer | None = None,
) -> Rerun:
    """Run every step of a run again with the same values, and compare what the steps give.

    Files and results are compared by what is in them. What is run comes from you: a record is data, which
    others may have written.

    Args:
        run: The run.
        records: The records of all runs.
        composed: The flow-of-flows to run, from your own spec.
        trust_record: Where `composed` is left out, run the spec in the record, which names modules to
            import and a folder to import them from; `recorded_code` shows them.
        rtol: Relative tolerance of numbers.
        atol: Absolute tolerance of numbers.
        on_step: Is called with what happens to the steps.

    Raises:
        NotTrustedError: It is not said what to run. Nothing was imported.
        RunNotFoundError: Nothing of the run was kept that can be compared, or not its parameters.
        SpecError: The flows of the run are not found, or have changed so that its values do not fit.
        StepFailedError: A step failed.
    """
    if composed is None and not trust_record:
        raise _not_trusted(run)
    if composed is not None and composed.spec.name != run.name:
        raise RunNotFoundError(
            f"the run is one of the spec {run.name!r}, not {composed.spec.name!r}.",
            where=f"run {run.run_id}",
            remedy="Give its own spec.",
        )
    if run.parameters is None:
        raise RunNotFoundError("the parameters of the run could not be stored.", where=f"run {run.run_id}")
    # Before the new run, which may write files of the same names.
    before = {name: _contents(value) for name, value in _values(run, records)}
    if not before:
        raise RunNotFoundError("no step of the run has ended.", where=f"run {run.run_id}")
    folder = Path(run.folder) if run.folder and composed is None else None
    with importable_from(folder) if composed is None else nullcontext():
        composed = composed or FlowOfFlows.from_yaml(run.spec)
        after = composed.run(run.parameters, on_step=on_step, no_cache=True)
    compared = tuple(name for name in after.results if name in before)
    found = tuple(
        difference
        for name in compared
        for difference in differences(
            before[name], _contents(after.results[name]), rtol=rtol, atol=atol, where=name
        )
    )
    return Rerun(run, after, compared, found)


def recorded_code(run: RunRecord) -> dict[str, str | None]:
    """Return what the record of a run would import, by step; None for a flow that is found by its name.

    Raises:
        SpecError: The record has no spec.
    """
    return {step.step: step.entrypoint for step in load_spec(run.spec).composing_flows}


def _not_trusted(run: RunRecord) -> NotTrustedError:
    entrypoints = recorded_code(run)
    code = ", ".join(dict.fromkeys(repr(place or name) for name, place in entrypoints.items()))
    folder = f" from the folder {run.folder!r} and from installed packages" if run.folder else ""
    return NotTrustedError(
        f"what is stored does not choose what is run, and the record of the run names {code}{folder}.",
        where=f"run {run.run_id}",
        remedy="Give your own spec: `lume-services rerun ID SPEC`. Or, if you trust the record, add --yes; "
        "in Python, trust_record=True.",
        folder=run.folder,
        entrypoints=entrypoints,
    )


def _values(run: RunRecord, records: RunRecords) -> Iterator[tuple[str, Any]]:
    """Yield what every step gave last, by the name of the step."""
    seen = set()
    for step in records.steps(run.root):
        if step.state == "completed" and step.refused is None and step.step not in seen:
            seen.add(step.step)
            yield step.step, records.values(step).value


def _contents(value: Any) -> Any:
    """Return a value with what its references lead to in their place."""
    if isinstance(value, Mapping):
        if isinstance(value.get(_FILE), str):
            return _read(value, lambda: load_reference(value).read())
        if isinstance(value.get(_RESULT), str):
            return _read(value, lambda: _contents(load_result(value).outputs))
        return {key: _contents(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_contents(item) for item in value)
    return value


def _read(reference: Mapping[str, Any], read: Any) -> dict[str, Any]:
    named = {key: item for key, item in reference.items() if key not in _PLACES}
    try:
        return {**named, "content": read()}
    except (LUMEServicesError, OSError) as error:
        return {**named, "content": f"unreadable: {error}"}
