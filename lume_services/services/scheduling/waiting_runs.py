"""Runs that are cancelled while their jobs still wait for a place, which Prefect's worker forgets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from typing_extensions import override

if TYPE_CHECKING:
    from prefect.workers.base import BaseWorker

    _Worker = BaseWorker[Any, Any, Any]
else:
    _Worker = object  # Prefect takes every subclass of its own for a type of worker

_LOOK_SECONDS = 2.0
_AT_ONCE = 200


class CancelsWaitingRuns(_Worker):
    """Mixin of a worker whose jobs may wait.

    A run that has begun ends itself when it is cancelled. Before that, only the worker could remove its job,
    and Prefect's looks at a run no longer than it takes to submit it: the run would be cancelling for ever,
    and its job wait.
    """

    _looked = 0.0

    @override
    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            await self._cancel_waiting()
        return await super().get_and_submit_flow_runs()

    async def _cancel_waiting(self) -> None:
        cancelling = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING]))
        runs = await self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=cancelling),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[self._work_pool_name])),
            sort=FlowRunSort.ID_DESC,
            limit=_AT_ONCE,
        )
        for run in runs:
            if run.start_time is None and run.infrastructure_pid is not None:
                await self._cancel_run(run.id)
