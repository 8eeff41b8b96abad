"""The error that tells how a flow run ended, where it did not complete."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lume_services.errors import (
    BackendError,
    FlowCancelledError,
    FlowCrashedError,
    FlowFailedError,
    RunException,
    UnsupportedRouteError,
)

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

_CONFIGURE = (
    "Configure a Prefect API: set LUME_PREFECT__API_URL or PREFECT_API_URL to the URL of a Prefect server, "
    "as http://127.0.0.1:4200/api after `lume-services server start`."
)


def failure(
    state: State[Any],
    original: BaseException | None,
    *,
    flow_name: str,
    run_id: str,
    last_lines: Sequence[str] = (),
) -> BackendError:
    """Return the error for a run that did not complete. Raise it `from` the original.

    The error keeps as attributes `flow_name`, `run_id`, `state_name`, and of the original exception
    `original_type`, `original_message` and `traceback`, as text; None where there was none.

    Args:
        state: The state in which the run ended.
        original: The exception that ended it.
        flow_name: The name of the flow.
        run_id: The id of the flow run.
        last_lines: The last lines of its log, where they tell more.
    """
    where = f"flow {flow_name!r}, run {run_id}"
    facts: dict[str, Any] = {
        "flow_name": flow_name,
        "run_id": run_id,
        "state_name": state.name,
        **_about(original),
    }
    lacking = _unsupported(original)
    if lacking is not None:
        message = f"{lacking} needs a Prefect server, and none is configured."
        return UnsupportedRouteError(message, where=where, remedy=_CONFIGURE, route=lacking, **facts)
    reason = state.message or "no reason given"
    if original is not None and str(original) not in reason:
        reason = f"{reason} ({facts['original_type']}: {original})"
    if last_lines:
        reason = "\n".join([reason, *last_lines])
    ended: type[BackendError] = BackendError
    verb = f"stopped in state {state.name}"
    if state.is_failed():
        ended, verb = FlowFailedError, "failed"
    elif state.is_crashed():
        ended, verb = FlowCrashedError, "crashed"
    elif state.is_cancelled():
        ended, verb = FlowCancelledError, "was cancelled"
    return ended(f"{verb}: {reason}", where=where, **facts)


def _about(original: BaseException | None) -> dict[str, str | None]:
    if isinstance(original, RunException):
        return {
            "original_type": original.type_name,
            "original_message": original.message,
            "traceback": original.traceback,
        }
    known = original is not None
    return {
        "original_type": type(original).__name__ if known else None,
        "original_message": str(original) if known else None,
        "traceback": "".join(traceback.format_exception(original)) if known else None,
    }


def _unsupported(original: BaseException | None) -> str | None:
    """Return what was asked of the stand-in in vain, if that is why the run ended."""
    from httpx import HTTPStatusError

    from lume_services.services.scheduling.standin import UNSUPPORTED_HEADER

    for error in _chain(original):
        if isinstance(error, HTTPStatusError) and UNSUPPORTED_HEADER in error.response.headers:
            return error.response.headers[UNSUPPORTED_HEADER]
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
