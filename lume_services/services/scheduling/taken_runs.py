"""A worker answers for every run that it has taken, until its job has ended."""

from __future__ import annotations

import gc
import logging
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from httpx import HTTPError
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.states import Cancelled, Crashed, Scheduled
from typing_extensions import override

from lume_services.services.scheduling.claims import BEGINNING, give_back
from lume_services.services.scheduling.places import HOLDER, this_process

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.workers.base import BaseWorker, BaseWorkerResult

    _Worker = BaseWorker[Any, Any, Any]
else:
    _Worker = object  # Prefect takes every subclass of its own for a type of worker

logger = logging.getLogger(__name__)


class AnswersForRuns(_Worker):
    """Mixin of a worker that knows which runs it has taken, and says so on each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.taken: set[UUID] = set()
        """Those whose jobs are to be started, or run; where a cluster runs them, until it has them."""
        self._with_jobs: set[UUID] = set()

    @override
    async def _submit_run(self, flow_run: FlowRun) -> None:
        self.taken.add(flow_run.id)
        try:
            await super()._submit_run(flow_run)
        except (HTTPError, PrefectException) as error:  # it would end the worker, and all its jobs
            logger.warning("Run %s is left to who looks for it next: %s", flow_run.name, error)
            self._submitting_flow_run_ids.discard(flow_run.id)
            self._release_limit_slot(flow_run.id)
        if flow_run.id not in self._with_jobs:  # another worker has it, or it was cancelled
            self.taken.discard(flow_run.id)

    @override
    async def _give_worker_labels_to_flow_run(self, flow_run_id: UUID) -> None:
        await super()._give_worker_labels_to_flow_run(flow_run_id)
        if here := this_process():  # and no other worker: this one has the run by now
            await self.client.update_flow_run_labels(flow_run_id, {HOLDER: here})

    @override
    async def _submit_run_and_capture_errors(
        self, flow_run: FlowRun, task_status: TaskStatus[int | Exception] | None = None
    ) -> BaseWorkerResult | Exception:
        self._with_jobs.add(flow_run.id)
        result = await super()._submit_run_and_capture_errors(flow_run, task_status)
        # Not where this worker is told to stop in the middle: then it answers for the run still.
        self._with_jobs.discard(flow_run.id)
        self.taken.discard(flow_run.id)
        gc.collect()  # Prefect leaves a client with certificates in a circle, half a megabyte for each run
        return result


def hand_back(client: SyncPrefectClient, run_ids: Collection[UUID], *, jobs_ended: bool) -> None:
    """Bring the runs of a worker that was told to stop to a true state.

    What has not begun is scheduled again, for another worker.

    Args:
        client: Of the Prefect API.
        run_ids: What the worker had taken.
        jobs_ended: Whether its jobs have ended with it.
    """
    for run_id in run_ids:
        with suppress(ObjectNotFound):  # it was deleted
            _hand_back(client, run_id, jobs_ended=jobs_ended)


def _hand_back(client: SyncPrefectClient, run_id: UUID, *, jobs_ended: bool) -> None:
    run = client.read_flow_run(run_id)
    if run.state is None or run.state.is_final() or run.state.is_scheduled():
        return
    if not jobs_ended and run.infrastructure_pid:  # there is a job, which goes on without the worker
        return
    why = "Its worker was told to stop."
    if run.state.is_pending() and give_back(client, run_id, why):
        logger.info("Gave back %s, which had not begun.", run.name)
    elif jobs_ended and run.state.name == BEGINNING:  # its job did not come to that
        client.set_flow_run_state(run_id, Scheduled(message=why), force=True)
    elif jobs_ended:
        state = Cancelled if run.state.is_cancelling() else Crashed
        client.set_flow_run_state(run_id, state(message="Its job ended with its worker, which was stopped."))
