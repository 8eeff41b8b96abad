"""The Prefect API that the runs of this process talk to: a configured one, or the stand-in."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import AsyncClientContext, SettingsContext, SyncClientContext, get_settings_context
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_LOGGING_TO_API_ENABLED,
    PREFECT_UI_URL,
)
from pydantic import SecretStr

from lume_services.services.scheduling.standin import event_route, running_stand_in, stand_in

# A sync flow run waits a second for the thread that sends heartbeats. They tell a server that the
# process of a run still lives; here it is the process that asks. Environment and profile cannot say None.
_NO_HEARTBEAT: dict[Any, Any] = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}


class PrefectAPI:
    """A Prefect API, as the settings and clients that lead to it.

    Settings take 25 ms to make, so they are kept for all runs.

    Args:
        updates: The Prefect settings that lead to the API, on top of those in force.
        takes_events: Gives the context in which the events of a run reach the API.

    Attributes:
        url: The URL of the API.
        takes_events: As given. The context must be entered inside `entered`.
    """

    def __init__(
        self, updates: dict[Any, Any], takes_events: Callable[[], AbstractContextManager[None]]
    ) -> None:
        context = get_settings_context()
        self._profile = context.profile
        self._base = context.settings
        self._settings = context.settings.copy_with_update(updates=updates)
        self._process = os.getpid()
        self.url = self._settings.api.url or ""
        self.takes_events = takes_events

    @contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        """Make this API the one in Prefect's settings in the block, and give a client of it."""
        with (
            SettingsContext(profile=self._profile, settings=self._settings),
            get_client(sync_client=True, httpx_settings=self._httpx_settings()) as client,
        ):
            yield client

    @contextmanager
    def entered(self) -> Iterator[SyncPrefectClient]:
        """Make Prefect use this API, by one client, in the block, and give that client."""
        with self.client() as client, SyncClientContext.model_construct(client=client):
            yield client

    @asynccontextmanager
    async def entered_async(self) -> AsyncIterator[None]:
        """Make async code of Prefect use one client of this API; to be entered inside `entered`."""
        async with (
            get_client(httpx_settings=self._httpx_settings()) as client,
            AsyncClientContext.model_construct(client=client),
        ):
            yield

    def serves(self) -> bool:
        """Return whether Prefect's settings here are those that this was made from, or made."""
        current = get_settings_context().settings
        return self._process == os.getpid() and (current is self._base or current is self._settings)

    def _httpx_settings(self) -> dict[str, Any] | None:
        """Return what spares a client of plain HTTP the 20 ms in which it would load certificates."""
        if self.url.startswith("https:"):
            return None
        return {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}


def connect(api_url: str | None, auth_string: SecretStr | None) -> PrefectAPI:
    """Return the API of that URL, else the one in Prefect's settings, else the stand-in.

    Args:
        api_url: The URL of an API.
        auth_string: The credentials for it, `user:password`.
    """
    url = api_url or PREFECT_API_URL.value()
    running = running_stand_in()
    if url is None or (running is not None and url == running.url):
        return _connect_stand_in()
    updates = {**_NO_HEARTBEAT, PREFECT_API_URL: url}
    if auth_string is not None:
        updates[PREFECT_API_AUTH_STRING] = auth_string.get_secret_value()
    return PrefectAPI(updates, lambda: event_route.to(url))


def _connect_stand_in() -> PrefectAPI:
    api = stand_in()
    updates = {
        **_NO_HEARTBEAT,
        PREFECT_API_URL: api.url,
        PREFECT_API_AUTH_STRING: api.auth_string,
        PREFECT_UI_URL: "",  # there is none to link to in the log
        PREFECT_LOGGING_TO_API_ENABLED: False,  # the log is kept by the handle of the run
        PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False,
        PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False,
    }
    return PrefectAPI(updates, api.takes_events)
