"""Why a step failed, with the place in the user's own code."""

from __future__ import annotations

import traceback
from typing import Any

from prefect import Flow

from lume_services.errors import LUMEServicesError, StepFailedError


def flow_failed(
    step: str, flow: Flow[..., Any], error: BaseException, where: str, run_id: str | None
) -> StepFailedError:
    """Return the error of a step whose flow raised. Raise it from the flow's error.

    Args:
        step: The name of the step.
        flow: Its flow.
        error: What the flow raised.
        where: Where the step stands in the spec.
        run_id: The id of its flow run, where there is one.
    """
    message = f"the flow {flow.name!r} failed{_place(flow, error)}: {type(error).__name__}: {error}"
    return StepFailedError(message, where=where, step=step, flow=flow.name, run_id=run_id)


def value_missing(step: str, flow: Flow[..., Any], error: Exception, where: str) -> StepFailedError:
    """Return the error of a step that was not run, as the value for a parameter cannot be had.

    Args:
        step: The name of the step.
        flow: Its flow.
        error: Why the value cannot be had.
        where: Where the mapping stands in the spec.
    """
    reason, remedy = _reason(error)
    message = f"the value for the parameter cannot be had: {reason}"
    return StepFailedError(message, where=where, remedy=remedy, step=step, flow=flow.name, run_id=None)


def not_kept(step: str, flow: Flow[..., Any], error: BaseException, where: str) -> StepFailedError:
    """Return the error of a step that ran, or may have, and of which no record could be stored.

    Args:
        step: The name of the step.
        flow: Its flow.
        error: Why there is no record.
        where: Where the step stands in the spec.
    """
    reason, remedy = _reason(error)
    message = f"the record of the step cannot be stored: {reason}"
    failure = StepFailedError(message, where=where, remedy=remedy, step=step, flow=flow.name, run_id=None)
    failure.__cause__ = error
    return failure


def parent_missing(
    step: str, flow: Flow[..., Any], only: str | None, why: str, where: str
) -> StepFailedError:
    """Return the error of a step that would have to run where only another one is to.

    Args:
        step: The name of the step.
        flow: Its flow.
        only: The step that is to run.
        why: Why the earlier run of this one does not do.
        where: Where the step stands in the spec.
    """
    message = f"{only!r} alone cannot run, as it takes values from {step!r}, which has to run: {why}."
    remedy = "Leave --only out, or resume a run in which that step has finished."
    return StepFailedError(message, where=where, remedy=remedy, step=step, flow=flow.name, run_id=None)


def _reason(error: BaseException) -> tuple[str, str | None]:
    """Return what an error says, and its remedy, where it has one."""
    if isinstance(error, LUMEServicesError):
        return error.message, error.remedy
    return f"{type(error).__name__}: {error}", None


def _place(flow: Flow[..., Any], error: BaseException) -> str:
    """Return the last place in the package of the flow that the error came through."""
    module = flow.fn.__module__
    package = module.rpartition(".")[0] or module
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = frame.f_globals.get("__name__", "")
        if name == module or name.startswith(f"{package}."):
            return f" at {frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
    return ""
