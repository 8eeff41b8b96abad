"""What must be true in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

from chaos.callers import Answer
from chaos.flows import COLLECTION
from chaos.place import Place
from lume_services.errors import (
    FlowCancelledError,
    FlowCrashedError,
    FlowFailedError,
    LUMEServicesError,
    RunNotStartedError,
    RunTimeoutError,
)
from lume_services.services.scheduling.backends.paging import every
from lume_services.services.scheduling.backends.server_api import ServerAPI


def runs_of(place: Place) -> Mapping[str, FlowRun]:
    """Return all runs that the server knows, by their ids."""
    url = str(place.context.settings().prefect.api_url)
    with ServerAPI(url, None).client() as client:
        found = every(
            lambda limit, offset: client.read_flow_runs(sort=FlowRunSort.ID_DESC, limit=limit, offset=offset)
        )
    return {str(run.id): run for run in found}


def faults(place: Place, answers: Sequence[Answer], runs: Mapping[str, FlowRun]) -> Iterator[str]:
    """Yield what is not as it was promised."""
    begins = _noted(place.folder / "begins")
    for run_id, count in Counter(run_id for run_id, _ in begins).items():
        if count > 1:
            yield f"run {run_id} began {count} times"
    completed = Counter(
        run.parameters["value"] for run in runs.values() if run.state is not None and run.state.is_completed()
    )
    yield from (f"value {value} was computed {n} times" for value, n in completed.items() if n > 1)
    for run in runs.values():
        if run.state is None or not run.state.is_final():
            yield f"run {run.id} is {run.state_name} in the end"
    begun = {run_id for run_id, _ in begins}
    for answer in answers:
        if untrue := _untrue(answer, runs, begun):
            yield f"value {answer.value}, run {answer.run_id}: {untrue}; told {answer.told!r}"
    yield from _not_stored(place)


def _noted(file: Path) -> list[tuple[str, int]]:
    lines = file.read_text().splitlines() if file.exists() else []
    return [(run_id, int(value)) for run_id, value in (line.split() for line in lines)]


def _untrue(answer: Answer, runs: Mapping[str, FlowRun], begun: set[str]) -> str | None:
    """Return what is wrong with an answer."""
    told = answer.told
    if isinstance(told, BaseException) and not isinstance(told, LUMEServicesError):
        return "an error that is not ours"
    if answer.run_id is None:
        return None if isinstance(told, LUMEServicesError) else "there was no run"
    state = runs[answer.run_id].state
    if state is None:
        return "there is no state"
    if not isinstance(told, BaseException):
        right = told == 2 * answer.value and answer.run_id in begun and state.is_completed()
        return None if right else f"the run is {state.name}"
    if isinstance(told, RunNotStartedError):
        wrong = answer.run_id in begun or not state.is_cancelled()
    elif isinstance(told, RunTimeoutError):
        wrong = not (state.is_cancelled() or state.is_final())
    elif isinstance(told, FlowFailedError):
        wrong = not state.is_failed()
    elif isinstance(told, FlowCrashedError):
        wrong = not state.is_crashed()
    elif isinstance(told, FlowCancelledError):
        wrong = not state.is_cancelled()
    else:
        wrong = False
    return f"the run is {state.name}" if wrong else None


def _not_stored(place: Place) -> Iterator[str]:
    """Yield what the store has acknowledged and does not have, or has twice."""
    service = place.context.results_db_service()
    found: Counter[tuple[str, int]] = Counter()
    for record in service.find(collection=COLLECTION):
        value = record["inputs"]["value"]
        right = record["outputs"]["square"] == value**2 and len(record["outputs"]["profile"]) == value % 100
        if not right:
            yield f"the result of value {value} is wrong: {record['outputs']}"
        found[record["flow_id"], value] += 1
    yield from (f"the result {key} is stored {n} times" for key, n in found.items() if n > 1)
    for key in _noted(place.folder / "stored"):
        if key not in found:
            yield f"the result {key} was acknowledged, and is not stored"
