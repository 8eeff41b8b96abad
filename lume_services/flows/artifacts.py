"""What the Prefect UI shows of a flow-of-flows: its graph, its steps, its results and its plots."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import Artifact, ImageArtifact, MarkdownArtifact, TableArtifact
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL
from prefect.utilities.urls import url_for

from lume_services.errors import LUMEServicesError
from lume_services.files import load_reference
from lume_services.flows.events import StepEvent
from lume_services.flows.pictures.graph import graph_mermaid, graph_text
from lume_services.flows.plan import Plan
from lume_services.flows.runs.status import StepStatus
from lume_services.services.scheduling.standin import running_stand_in
from lume_services.values.references import references
from lume_services.values.visible import markdown, visible

_IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}
_LARGEST_IMAGE = 500_000  # bytes: an artifact is kept in the database of the server

logger = logging.getLogger(__name__)


def publish(plan: Plan, events: Mapping[str, StepEvent], values: Mapping[str, Any]) -> None:
    """Make the artifacts of the flow run in progress, unless it is only kept in this process.

    A server that does not take them is no failure of the run.

    Args:
        plan: The graph.
        events: What happened last to every step.
        values: What the steps gave, of those that have ended.
    """
    stand_in = running_stand_in()
    if stand_in is not None and PREFECT_API_URL.value() == stand_in.url:
        return
    try:
        for artifact in _artifacts(plan, events, values):
            artifact.create(_sync=True)  # type: ignore[call-arg]
    except (HTTPError, PrefectException, LUMEServicesError, OSError) as error:
        logger.warning("The artifacts of the run are not complete: %s", visible(error))


def _artifacts(plan: Plan, events: Mapping[str, StepEvent], values: Mapping[str, Any]) -> Iterator[Artifact]:
    status = {name: _status(event) for name, event in events.items()}
    graph = f"```mermaid\n{graph_mermaid(plan, status)}```\n\n```text\n{graph_text(plan, status)}```\n"
    yield MarkdownArtifact(key="graph", markdown=graph, description=f"The steps of {markdown(plan.name)}.")
    rows = [_row(events[name]) for name in plan.steps if name in events]
    yield TableArtifact(key="steps", table=rows, description="How the steps ended.")
    results = [
        {
            "step": markdown(step),
            "project": markdown(found["project_name"]),
            "result": markdown(found["query"]["unique_hash"]),
        }
        for step, value in values.items()
        for found in references(value, "result_type_string")
    ]
    if results:
        yield TableArtifact(key="results", table=results, description="The results that were stored.")
    yield from _images(values)


def _status(event: StepEvent) -> StepStatus:
    states = {"completed": "completed", "reused": "completed", "failed": "failed"}
    state: Any = states.get(event.state, "waiting")
    return StepStatus(state, event.duration, event.run_id, event.error)


def _row(event: StepEvent) -> dict[str, Any]:
    link = url_for("flow-run", UUID(event.run_id)) if event.run_id else None
    return {
        "step": markdown(event.step),
        "state": event.state,
        "seconds": "" if event.duration is None else f"{event.duration:.2f}",
        "run": f"[{event.run_id}]({link})" if link else event.run_id or "",
        "why": markdown(event.error or event.why or ""),
    }


def _images(values: Mapping[str, Any]) -> Iterable[Artifact]:
    """Yield the plots that the steps have written, each once."""
    seen = set()
    for step, value in values.items():
        for reference in references(value, "file_type_string"):
            file = load_reference(reference)
            kind = _IMAGES.get(file.path().suffix.lower())
            if kind is None or file.filename in seen or not file.path().is_file():
                continue
            if file.path().stat().st_size > _LARGEST_IMAGE:
                continue
            seen.add(file.filename)
            content = base64.b64encode(file.path().read_bytes()).decode("ascii")
            yield ImageArtifact(
                key=f"plot-{len(seen)}",
                image_url=f"data:{kind};base64,{content}",
                description=f"{markdown(file.filename)}, of the step {markdown(repr(step))}.",
            )
