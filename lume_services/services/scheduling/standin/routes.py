"""The routes of the Prefect API that the engine calls, and an error for every other one."""

from __future__ import annotations

import base64
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import uuid4

import prefect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from lume_services.services.scheduling.standin.events import receive_events
from lume_services.services.scheduling.standin.filters import UnsupportedFilter
from lume_services.services.scheduling.standin.records import Record
from lume_services.services.scheduling.standin.store import TABLES, Store

UNSUPPORTED_HEADER = "X-LUME-Unsupported"

Handler = Callable[[Request], Awaitable[Response]]

logger = logging.getLogger(__name__)

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

# What a server without any deployment, block, variable, ... answers too: there is no such object.
_ABSENT = (
    "/variables/name/{name}",
    "/block_types/slug/{slug}",
    "/block_types/slug/{slug}/block_documents/name/{name}",
    "/block_documents/{id}",
    "/deployments/{id}",
    "/deployments/name/{flow_name}/{deployment_name}",
    "/work_pools/{name}",
    "/work_queues/{id}",
    "/concurrency_limits/tag/{tag}",
    "/v2/concurrency_limits/{name}",
)


def application(store: Store, auth_string: str) -> ASGIApp:
    """Return the ASGI application of the stand-in.

    Args:
        store: Its memory.
        auth_string: The credentials, `user:password`, that every request must carry.
    """
    events = WebSocketRoute("/api/events/in", partial(receive_events, store=store, secret=auth_string))
    routes: list[BaseRoute] = [*_Records(store).routes(), *_other_routes(), events]
    routes.append(Route("/{path:path}", _unsupported, methods=_METHODS))
    return _Guard(Starlette(routes=routes), auth_string)


class _Guard:
    """Lets only requests with the right credentials pass: a loopback port is open to every local user."""

    def __init__(self, app: ASGIApp, auth_string: str) -> None:
        self._app = app
        self._expected = b"Basic " + base64.b64encode(auth_string.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"authorization", b"")
        if scope["type"] == "http" and not hmac.compare_digest(given, self._expected):
            await JSONResponse({"detail": "Unauthorized"}, 401)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _Records:
    """The routes of flows, flow runs, task runs and artifacts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        common: list[BaseRoute] = []
        for table in TABLES:
            common += [
                _route("POST", f"/{table}/", partial(self.create, table=table)),
                _route("POST", f"/{table}/filter", partial(self.find, table=table)),
                _route("GET", f"/{table}/{{id:uuid}}", partial(self.read, table=table)),
                _route("PATCH", f"/{table}/{{id:uuid}}", partial(self.update, table=table)),
            ]
        return [
            *common,
            _route("POST", "/flow_runs/{id:uuid}/set_state", self.set_flow_run_state),
            _route("POST", "/task_runs/{id:uuid}/set_state", self.set_task_run_state),
            _route("PATCH", "/flow_runs/{id:uuid}/labels", self.label),
            _route("GET", "/flow_run_states/", self.states),
            _route("GET", "/task_run_states/", self.states),
        ]

    async def create(self, request: Request, table: str) -> Response:
        """Create a record, or give the one that exists."""
        body = await request.body()
        return JSONResponse(self._store.create(table, json.loads(body), len(body)), 201)

    async def read(self, request: Request, table: str) -> Response:
        """Give a record."""
        return _found(self._store.get(table, _id(request)))

    async def update(self, request: Request, table: str) -> Response:
        """Set fields of a record."""
        known = self._store.update(table, _id(request), await request.json())
        return Response(status_code=204) if known else _found(None)

    async def find(self, request: Request, table: str) -> Response:
        """Give the records that a filter asks for."""
        try:
            return JSONResponse(self._store.find(table, await request.json()))
        except UnsupportedFilter as error:
            return _refusal(request, str(error))

    async def set_flow_run_state(self, request: Request) -> Response:
        """Put a flow run into the proposed state, or say what else to do."""
        body = await request.json()
        if _pauses(body["state"]):
            return _refusal(request, "pausing a flow run")
        force = bool(body.get("force"))
        return _found(self._store.set_flow_run_state(_id(request), body["state"], force=force), 201)

    async def set_task_run_state(self, request: Request) -> Response:
        """Put a task run into the proposed state."""
        body = await request.json()
        return _found(self._store.set_task_run_state(_id(request), body["state"]), 201)

    async def label(self, request: Request) -> Response:
        """Add labels to a flow run."""
        run = self._store.get("flow_runs", _id(request))
        if run is None:
            return _found(None)
        self._store.update("flow_runs", run["id"], {"labels": {**run["labels"], **await request.json()}})
        return Response(status_code=204)

    async def states(self, request: Request) -> Response:
        """Give the states that a run was in."""
        run_id = request.query_params.get("flow_run_id") or request.query_params.get("task_run_id", "")
        return JSONResponse(self._store.states(run_id))


def _other_routes() -> list[BaseRoute]:
    async def health(_: Request) -> Response:
        return JSONResponse(True)

    async def version(_: Request) -> Response:
        return JSONResponse(prefect.__version__)

    async def storage(_: Request) -> Response:
        return JSONResponse({"default_result_storage_block_id": None})

    async def no_limits(_: Request) -> Response:
        return JSONResponse([])

    async def lease(_: Request) -> Response:
        return JSONResponse({"lease_id": str(uuid4()), "limits": []})

    async def nothing(_: Request) -> Response:
        return Response(status_code=204)

    async def absent(_: Request) -> Response:
        return _found(None)

    limits = "/v2/concurrency_limits"
    return [
        _route("GET", "/health", health),
        _route("GET", "/admin/version", version),
        _route("GET", "/admin/storage", storage),
        _route("POST", f"{limits}/increment", no_limits),
        _route("POST", f"{limits}/decrement", no_limits),
        _route("POST", f"{limits}/increment-with-lease", lease),
        _route("POST", f"{limits}/decrement-with-lease", nothing),
        _route("POST", f"{limits}/leases/{{id}}/renew", nothing),
        *(_route("GET", path, absent) for path in _ABSENT),
    ]


def _route(method: str, path: str, handler: Any) -> Route:
    return Route(f"/api{path}", handler, methods=[method])


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _pauses(state: Record) -> bool:
    return state["type"] == "PAUSED" and not (state.get("state_details") or {}).get("pause_reschedule")


def _found(record: Record | None, status: int = 200) -> Response:
    return JSONResponse({"detail": "Not found"}, 404) if record is None else JSONResponse(record, status)


async def _unsupported(request: Request) -> Response:
    return _refusal(request, f"{request.method} {request.url.path.removeprefix('/api')}")


def _refusal(request: Request, what: str) -> Response:
    """Answer 501, which Prefect's client does not retry, naming what is lacking in a header."""
    logger.warning("%s needs a Prefect server (%s %s)", what, request.method, request.url.path)
    detail = f"{what} needs a Prefect server: none is configured"
    return JSONResponse({"detail": detail}, 501, headers={UNSUPPORTED_HEADER: what})
