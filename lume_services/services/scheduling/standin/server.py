"""The stand-in as a server: one per process, in a daemon thread, on a loopback port."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import getproxies, proxy_bypass

import uvicorn
from prefect.concurrency.services import (
    ConcurrencySlotAcquisitionService,
    ConcurrencySlotAcquisitionWithLeaseService,
)
from prefect.events.worker import EventsWorker

from lume_services.errors import BackendError
from lume_services.services.scheduling.standin.events import EventRoute, EventSink
from lume_services.services.scheduling.standin.routes import application
from lume_services.services.scheduling.standin.store import Store

_START_SECONDS = 10.0
# Longer than the 25 s after which Prefect's client drops an idle connection, so that it is the client
# that closes it: a request on a connection that the server just closed would be retried after 2 s.
_KEEP_ALIVE_SECONDS = 60

event_route = EventRoute()


class StandIn:
    """A running stand-in.

    Attributes:
        store: Its memory.
        sink: Takes the events of this process.
        url: The URL of the API.
        auth_string: The credentials for it, `user:password`.
    """

    def __init__(self) -> None:
        self.store = Store()
        self.sink = EventSink(self.store)
        self.auth_string = f"lume:{secrets.token_urlsafe(32)}"
        # Without an explicit protocol, asyncio leaves Nagle's algorithm on: 40 ms for each request.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/api"
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(self.store, self.auth_string),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="websockets-sansio",
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        self._events_worker: EventsWorker | None = None
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="lume-prefect-stand-in", daemon=True
        )

    def start(self) -> None:
        """Start to serve.

        Raises:
            BackendError: The server did not start.
        """
        _bypass_proxy("127.0.0.1")
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(_START_SECONDS / 0.001)):
            if self._server.started:
                return
            waited.wait(0.001)
        raise BackendError("the in-process Prefect API did not start.", where=self.url)

    def stop(self) -> None:
        """Stop to serve and forget everything."""
        # Prefect keeps these for the process, with a client that is bound to this address.
        ConcurrencySlotAcquisitionService.drain_all()
        ConcurrencySlotAcquisitionWithLeaseService.drain_all()
        if self._events_worker is not None:
            self._events_worker.drain()
        self._server.should_exit = True
        self._thread.join(_START_SECONDS)

    def abandon(self) -> None:
        """Let go of the parent's stand-in in a forked process, where its thread does not exist."""
        self._socket.close()

    @contextmanager
    def takes_events(self) -> Iterator[None]:
        """Take the events emitted in this block; all of them are noted at its end.

        Prefect's settings must name this API here: the events worker starts a server if they name none.
        """
        with event_route.to(self.url, self.sink):
            self._events_worker = EventsWorker.instance()
            try:
                yield
            finally:
                self.sink.flush()


_lock = threading.Lock()
_running: StandIn | None = None


def stand_in() -> StandIn:
    """Return the stand-in of this process, started if need be."""
    global _running  # noqa: PLW0603 - one per process
    with _lock:
        if _running is None:
            _running = StandIn()
            _running.start()
        return _running


def running_stand_in() -> StandIn | None:
    """Return the stand-in of this process, None if there is none yet."""
    return _running


def stop_stand_in() -> None:
    """Stop the stand-in of this process, unless there is none or a run needs it."""
    global _running  # noqa: PLW0603 - one per process
    with _lock:
        if _running is not None and not event_route.in_use():
            _running.stop()
            _running = None


def _bypass_proxy(host: str) -> None:
    """Keep the clients of this process, Prefect's own among them, from reaching `host` through a proxy."""
    if not getproxies() or proxy_bypass(host):
        return
    name = "no_proxy" if "no_proxy" in os.environ else "NO_PROXY"
    os.environ[name] = ",".join(filter(None, [os.environ.get(name), host]))


def _forget_in_child() -> None:
    global _running, _lock
    if _running is not None:
        _running.abandon()
    _running, _lock = None, threading.Lock()
    event_route.reset()


os.register_at_fork(after_in_child=_forget_in_child)
