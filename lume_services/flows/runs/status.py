"""How the steps of a run stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lume_services.flows.runs.records import RunRecord, RunRecords


@dataclass(frozen=True)
class StepStatus:
    """How a step stands.

    Attributes:
        state: How it ended last; `waiting` if it has not.
        seconds: How long it ran.
        run_id: The id of its flow run.
        error: Why it failed.
    """

    state: Literal["completed", "failed", "waiting"] = "waiting"
    seconds: float | None = None
    run_id: str | None = None
    error: str | None = None

    def __str__(self) -> str:
        return self.state if self.seconds is None else f"{self.state} {self.seconds:.2f} s"


def status_of(run: RunRecord, records: RunRecords) -> Mapping[str, StepStatus]:
    """Return how the steps of a run stand by their names, with what the runs of its root have done together.

    Args:
        run: The run.
        records: The records of all runs.
    """
    found: dict[str, StepStatus] = {}
    for step in records.steps(run.root):  # the last one first
        found.setdefault(step.step, StepStatus(step.state, step.seconds, step.flow_run_id, step.error))
    return found
