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
    reason, remedy = f"{type(error).__name__}: {error}", None
    if isinstance(error, LUMEServicesError):
        reason, remedy = error.message, error.remedy
    message = f"the value for the parameter cannot be had: {reason}"
    return StepFailedError(message, where=where, remedy=remedy, step=step, flow=flow.name, run_id=None)


def _place(flow: Flow[..., Any], error: BaseException) -> str:
    """Return the last place in the package of the flow that the error came through."""
    module = flow.fn.__module__
    package = module.rpartition(".")[0] or module
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        name = frame.f_globals.get("__name__", "")
        if name == module or name.startswith(f"{package}."):
            return f" at {frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
    return ""
