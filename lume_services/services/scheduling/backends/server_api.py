"""The connection of a backend to its Prefect server, with errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from httpx import HTTPStatusError, TransportError
from packaging.version import Version
from prefect import __version__
from prefect.settings import PREFECT_API_URL
from pydantic import SecretStr

from lume_services.errors import APINotAuthorisedError, APIUnreachableError, APIVersionError, BackendError
from lume_services.services.scheduling.api import PrefectAPI, connect
from lume_services.services.scheduling.backends.watching import WatchedRuns
from lume_services.services.scheduling.standin import running_stand_in
from lume_services.values.secret import without_credentials

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

_SETTINGS = "LUME_PREFECT__API_URL or PREFECT_API_URL"


class ServerAPI:
    """A Prefect server.

    Args:
        api_url: Its URL; Prefect's `PREFECT_API_URL` if None.
        auth_string: The credentials for it, `user:password`.

    Raises:
        BackendError: No URL is configured.
    """

    def __init__(self, api_url: str | None, auth_string: SecretStr | None) -> None:
        stand_in = running_stand_in()
        found = api_url or PREFECT_API_URL.value()
        if found is None or (stand_in is not None and found == stand_in.url):
            raise BackendError(
                "this backend needs a Prefect server, and none is configured.",
                where="LUME_BACKEND",
                remedy=f"Start one with `lume-services server start`, and set {_SETTINGS} to its URL, as "
                "http://127.0.0.1:4200/api; or run flows in this process, LUME_BACKEND=local.",
            )
        self.url = found
        self.where = without_credentials(found)
        self._api: PrefectAPI = connect(found, auth_string)
        self._checked = False
        self._runs = WatchedRuns(self.client)
        self._process = os.getpid()

    def serves(self) -> bool:
        """Return whether this can be used here: not after a fork."""
        return self._process == os.getpid()

    @contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        """Give a client, and make Prefect use this server in the block.

        Raises:
            APIUnreachableError: It does not answer.
            APINotAuthorisedError: It wants other credentials.
            APIVersionError: It is too old or too new.
        """
        with self._explained():
            self._check_version()
            with self._api.entered() as client:
                yield client

    def watched(self, run_id: UUID) -> AbstractContextManager[Callable[[float], FlowRun]]:
        """Watch a run in a block, and give what returns it, as it was at most so many seconds ago."""
        return self._runs.watched(run_id)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (TransportError, RuntimeError) as error:
            # Prefect's client raises a RuntimeError where the server did not answer its first request.
            transport = error if isinstance(error, TransportError) else error.__cause__
            if not isinstance(transport, TransportError):
                raise
            raise APIUnreachableError(
                f"the Prefect server does not answer: {transport or type(transport).__name__}.",
                where=self.where,
                remedy=f"Check {_SETTINGS}, and that the server is running.",
            ) from error
        except HTTPStatusError as error:
            if error.response.status_code not in {401, 403}:
                raise
            raise APINotAuthorisedError(
                f"the Prefect server refuses these credentials ({error.response.status_code}).",
                where=self.where,
                remedy="Set LUME_PREFECT__API_AUTH_STRING or PREFECT_API_AUTH_STRING to its user:password.",
            ) from error

    def _check_version(self) -> None:
        """Refuse a server older than this process, once; such a one does not know what is asked of it.

        This comes before Prefect looks at the version, which leaves the connection open where that fails.
        """
        if self._checked:
            return
        with self._api.client() as client:
            here, there = Version(__version__), Version(client.api_version())
        if here.major != there.major or there.release[:2] < here.release[:2]:
            raise APIVersionError(
                f"the server runs Prefect {there}, this process {here}.",
                where=self.where,
                remedy="Install the same version of Prefect at both ends, the server first.",
            )
        self._checked = True
