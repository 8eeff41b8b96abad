"""What happens to the steps of a run, told while it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

StepState = Literal["queued", "running", "completed", "reused", "failed", "skipped"]


@dataclass(frozen=True)
class StepEvent:
    """A step has got into a state.

    Attributes:
        step: The name of the step.
        flow: The name of its flow.
        state: `queued` when the run begins; `reused` if what an earlier run of it gave was taken; `skipped`
            where a step before failed, or where other steps were asked for.
        duration: Seconds that it took, of a step that ended.
        run_id: The id of its flow run, where there is one; the earlier one where that was reused.
        why: Why it was reused, or why not.
        error: What went wrong, of a step that failed.
    """

    step: str
    flow: str
    state: StepState
    duration: float | None = None
    run_id: str | None = None
    why: str | None = None
    error: str | None = None


Observer = Callable[[StepEvent], None]
"""Is called with one event at a time, in a thread of the run."""
