"""Why a flow run does not start, as far as the Prefect API knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId, LogFilterLevel, WorkerFilter
from prefect.client.schemas.objects import FlowRun, WorkerStatus, WorkPool
from prefect.client.schemas.sorting import LogSort

from lume_services.errors import NoWorkerError, RunNotStartedError
from lume_services.services.scheduling.backends.paging import every

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_WARNING = 30
_LINES = 5


def not_started(client: SyncPrefectClient, run: FlowRun, seconds: float) -> RunNotStartedError:
    """Return the error for a run that has not started.

    Args:
        client: Of the API.
        run: The run as it is now.
        seconds: How long was waited.
    """
    pool = client.read_work_pool(run.work_pool_name) if run.work_pool_name else None
    where = f"run {run.id}, work pool {run.work_pool_name!r}"
    waited = f"the run did not start within {seconds:g} s"
    if pool is None:
        return RunNotStartedError(f"{waited}: it belongs to no work pool.", where=where, run_id=str(run.id))
    if not _polling(client, pool):
        return NoWorkerError(
            f"{waited}: no worker takes runs from the work pool.",
            where=where,
            remedy=f"Start one: lume-services worker start --type {pool.type} --pool {pool.name}",
            run_id=str(run.id),
            work_pool=pool.name,
        )
    reason, remedy = _reason(client, run, pool)
    return RunNotStartedError(f"{waited}: {reason}", where=where, remedy=remedy, run_id=str(run.id))


def last_lines(client: SyncPrefectClient, run: FlowRun, *, level: int = 0) -> list[str]:
    """Return the last lines of a run's log that are of this level or worse."""
    found = client.read_logs(
        LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]), level=LogFilterLevel(ge_=level, le_=None)),
        limit=_LINES,
        offset=0,
        sort=LogSort.TIMESTAMP_DESC,
    )
    return [line.message.strip() for line in reversed(found)]


def _polling(client: SyncPrefectClient, pool: WorkPool) -> bool:
    workers = every(
        lambda limit, offset: client.read_workers_for_work_pool(
            pool.name, WorkerFilter(), limit=limit, offset=offset
        )
    )
    return any(worker.status == WorkerStatus.ONLINE for worker in workers)


def _reason(client: SyncPrefectClient, run: FlowRun, pool: WorkPool) -> tuple[str, str]:
    if pool.is_paused:
        return "the work pool is paused.", f"prefect work-pool resume {pool.name}"
    if run.state is not None and run.state.is_pending():
        warnings = " ".join(last_lines(client, run, level=_WARNING))
        said = warnings or run.state.message or "nothing was said yet"
        return f"a worker took it and starts its job: {said}", "See the log of the worker."
    limit = f", and its limit is {pool.concurrency_limit} runs" if pool.concurrency_limit is not None else ""
    return (
        f"a worker polls the work pool but has not taken it{limit}.",
        "See which runs are in progress, and the limits of the pool, its queues and its worker.",
    )
