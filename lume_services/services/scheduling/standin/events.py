"""The states of task runs: the engine reports them as events, not by the routes of the API.

Events of this process are handed to the store directly. Those of other processes (a task runner that
starts some) come by the websocket that a server has for them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from prefect.events.schemas.events import Event
from prefect.events.worker import EventsWorker, ProcessPoolForwardingEventsClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from lume_services.errors import BackendError
from lume_services.services.scheduling.standin.records import Record, new_state, stamp
from lume_services.services.scheduling.standin.store import Store

_FLUSH = "lume-services.flush"
_FLUSH_SECONDS = 30.0
_TASK_RUN = "prefect.task-run."
_FLOW_RUN = "prefect.flow-run."

logger = logging.getLogger(__name__)


class EventSink:
    """Takes the events of this process from Prefect's events worker.

    It has the interface of a queue, because that is what Prefect's own in-process events client,
    made for its process-pool task runner, writes to.

    Args:
        store: Where the states of task runs are noted.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._flushes: dict[str, threading.Event] = {}

    def put(self, item: tuple[str, Event]) -> None:
        """Take one event, as the queue of Prefect's forwarding events client."""
        event = item[1]
        flush = self._flushes.get(event.resource.id) if event.event == _FLUSH else None
        if flush is not None:
            flush.set()
        else:
            note(event, self._store)

    def flush(self) -> None:
        """Wait until every event emitted so far is noted."""
        done = threading.Event()
        mark = f"{_FLUSH}.{uuid4()}"
        self._flushes[mark] = done
        EventsWorker.instance().send(Event(event=_FLUSH, resource={"prefect.resource.id": mark}))
        if not done.wait(_FLUSH_SECONDS):
            logger.warning("The states of some task runs are still on their way.")
        del self._flushes[mark]


class EventRoute:
    """Which API the events of this process go to: Prefect has one events client per process."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the runs in progress: in a forked process there are none."""
        self._lock = threading.Lock()
        self._url: str | None = None
        self._runs = 0

    def in_use(self) -> bool:
        """Return whether a run is in progress."""
        return self._runs > 0

    @contextmanager
    def to(self, url: str, sink: EventSink | None = None) -> Iterator[None]:
        """Send the events emitted in this block to an API.

        Args:
            url: The URL of the API.
            sink: Takes the events in this process; None for Prefect's own websocket client.

        Raises:
            BackendError: A run of this process against another API is in progress.
        """
        with self._lock:
            if self._runs and self._url != url:
                raise BackendError(
                    "a run of this process against another Prefect API is in progress.",
                    where=url,
                    remedy="Wait for its end: Prefect sends the events of a process to one API at a time.",
                )
            if not self._runs and sink is not None:
                EventsWorker.set_client_override(ProcessPoolForwardingEventsClient, event_queue=sink)
            self._url = url
            self._runs += 1
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                if not self._runs and sink is not None:
                    EventsWorker.set_client_override(None)


def note(event: Event, store: Store) -> None:
    """Note the state of a task run in the store; other events have no reader here."""
    if not event.event.startswith(_TASK_RUN) or "validated_state" not in event.payload:
        return
    state = {**event.payload["validated_state"], "id": str(event.id), "timestamp": stamp(event.occurred)}
    fields: Record = {**event.payload.get("task_run", {}), "flow_run_id": _flow_run_id(event)}
    store.record_task_run(event.resource.id.removeprefix(_TASK_RUN), fields, new_state(state))


def _flow_run_id(event: Event) -> str | None:
    for related in event.related:
        if related.role == "flow-run":
            return related.id.removeprefix(_FLOW_RUN)
    return None


async def receive_events(websocket: WebSocket, store: Store, secret: str) -> None:
    """Serve the websocket by which another process sends its events."""
    await websocket.accept(subprotocol="prefect")
    hello: dict[str, Any] = await websocket.receive_json()
    if hello.get("type") != "auth" or hello.get("token") != secret:
        await websocket.close(code=1008, reason="not authorised")
        return
    await websocket.send_json({"type": "auth_success"})
    try:
        while True:
            note(Event.model_validate_json(await websocket.receive_text()), store)
    except WebSocketDisconnect:
        return
