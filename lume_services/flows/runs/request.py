"""What is asked of one run of a flow-of-flows, beside its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lume_services.errors import Problem, SpecError, choose_from
from lume_services.flows.plan import Plan

LATEST = "latest"
"""The name of the run of a spec that was started last."""

ASKED = "it was asked for"


@dataclass(frozen=True)
class RunRequest:
    """What is asked of a run.

    Attributes:
        parameters: The values for the run, by step and parameter.
        root: The run whose finished steps are taken; none if None.
        again: The steps that run in any case, with the reason.
        only: The one step that may run; all if None.
        limit: How many steps may run at the same time; all that are ready if None.
    """

    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    root: str | None = None
    again: Mapping[str, str] = field(default_factory=dict)
    only: str | None = None
    limit: int | None = None

    def part_of(self, plan: Plan) -> Mapping[str, frozenset[str]]:
        """Return the steps that are needed, each with its parents."""
        if self.only is None:
            return plan.parents
        needed = plan.upstream[self.only] | {self.only}
        return {step: parents for step, parents in plan.parents.items() if step in needed}


def steps_again(
    plan: Plan, *, from_step: str | None = None, only: str | None = None, no_cache: bool = False
) -> Mapping[str, str]:
    """Return the steps that run in any case, with the reason.

    Args:
        plan: The graph.
        from_step: This step, and all that depend on it.
        only: This step.
        no_cache: All.

    Raises:
        SpecError: There is no such step.
    """
    problems = [
        Problem(f"there is no step {name!r}.", option, choose_from(name, plan.steps))
        for option, name in (("--from", from_step), ("--only", only))
        if name is not None and name not in plan.steps
    ]
    if problems:
        raise SpecError("the steps cannot be chosen", problems)
    again: dict[str, str] = {}
    if from_step is not None:
        again = dict.fromkeys(plan.downstream[from_step], f"it depends on {from_step!r}, which runs again")
    for name in (from_step, only):
        if name is not None:
            again[name] = ASKED
    return dict.fromkeys(plan.steps, ASKED) if no_cache and only is None else again
