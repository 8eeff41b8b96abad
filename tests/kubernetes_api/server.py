"""The HTTP side of the Kubernetes API server of the tests."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import kubernetes_validate
from aiohttp import web

from kubernetes_api.jobs import Jobs
from kubernetes_api.node import Node, cpus_requested
from kubernetes_api.store import KINDS, Object, Store, selected

SCHEMAS = "1.33"
WATCH_SECONDS = 3600.0
LOG_SECONDS = 0.1
BASES = {"/api/v1": "v1", "/apis/batch/v1": "batch/v1"}
GROUP_VERSION = {"groupVersion": "batch/v1", "version": "v1"}
VERBS = ["create", "delete", "get", "list", "patch", "watch"]


class API:
    """The endpoints.

    Args:
        store: The objects.
        node: Runs pods.
        token: What a client has to show.
    """

    def __init__(self, store: Store, node: Node, token: str) -> None:
        self._store = store
        self._node = node
        self._token = token
        self._jobs = Jobs(store, node)

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._authorised])
        routes = application.router
        routes.add_get("/version", _answer({"major": "1", "minor": "33", "gitVersion": "v1.33.0"}))
        routes.add_get("/api", _answer({"kind": "APIVersions", "versions": ["v1"]}))
        batch = {"name": "batch", "versions": [GROUP_VERSION], "preferredVersion": GROUP_VERSION}
        routes.add_get("/apis", _answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": [batch]}))
        routes.add_get("/api/v1/namespaces/{namespace}/pods/{name}/log", self._log)
        for base, api_version in BASES.items():
            routes.add_get(base, _answer(_discovery(api_version)))
            for collection in (f"{base}/{{resource}}", f"{base}/namespaces/{{namespace}}/{{resource}}"):
                routes.add_get(collection, self._list)
                routes.add_post(collection, self._create)
                for item in (f"{collection}/{{name}}", f"{collection}/{{name}}/status"):
                    routes.add_get(item, self._get)
                    routes.add_patch(item, self._patch)
                routes.add_delete(f"{collection}/{{name}}", self._delete)
        application.on_shutdown.append(self._close)
        return application

    async def _close(self, _: web.Application) -> None:
        self._jobs.close()

    @web.middleware
    async def _authorised(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            _refuse(web.HTTPUnauthorized, "Unauthorized", "Unauthorized")
        return await handler(request)

    async def _create(self, request: web.Request) -> web.Response:
        resource, namespace = _resource(request), request.match_info.get("namespace")
        item = await request.json()
        item.setdefault("apiVersion", KINDS[resource].api_version)
        item.setdefault("kind", KINDS[resource].name)
        metadata = item.setdefault("metadata", {})
        if namespace is not None:
            if self._store.get("namespaces", None, namespace) is None:
                _refuse(web.HTTPNotFound, "NotFound", f'namespaces "{namespace}" not found')
            metadata["namespace"] = namespace
        if why := invalid(item):
            name = metadata.get("name", metadata.get("generateName"))
            message = f'{item["kind"]} "{name}" is invalid: {why}'
            _refuse(web.HTTPUnprocessableEntity, "Invalid", message)
        if self._store.get(resource, namespace, metadata.get("name", "")):
            message = f'{resource} "{metadata["name"]}" already exists'
            _refuse(web.HTTPConflict, "AlreadyExists", message)
        for name, text in item.pop("stringData", {}).items():
            item.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()
        self._store.add(resource, item)
        if resource == "jobs":
            self._jobs.start(item)
        return web.json_response(item, status=201)

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._found(request))

    async def _patch(self, request: web.Request) -> web.Response:
        item, change = self._found(request), await request.json()
        if not isinstance(change, dict):
            _refuse(web.HTTPUnsupportedMediaType, "UnsupportedMediaType", "only merge patches are supported")
        _merge(item, change)
        self._store.save(_resource(request), item)
        return web.json_response(item)

    async def _delete(self, request: web.Request) -> web.Response:
        item = self._found(request)
        options = {**request.query, **(await request.json() if request.can_read_body else {})}
        grace = options.get("gracePeriodSeconds")
        self._jobs.delete(
            _resource(request),
            item,
            grace_seconds=None if grace is None else float(grace),
            orphan=options.get("propagationPolicy") == "Orphan",
        )
        return web.json_response({"kind": "Status", "apiVersion": "v1", "status": "Success"})

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") in {"true", "True", "1"}:
            return await self._watch(request)
        resource = _resource(request)
        listed = {
            "kind": f"{KINDS[resource].name}List",
            "apiVersion": KINDS[resource].api_version,
            "metadata": {"resourceVersion": str(self._store.revision)},
            "items": self._store.select(resource, *_selection(request)),
        }
        return web.json_response(listed)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        resource, selection = _resource(request), _selection(request)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)

        async def send(type_: str, item: Object) -> None:
            await response.write(json.dumps({"type": type_, "object": item}).encode() + b"\n")

        seen = int(request.query.get("resourceVersion") or 0)
        if not seen:
            seen = self._store.revision
            for item in self._store.select(resource, *selection):
                await send("ADDED", item)
        clock = asyncio.get_running_loop().time
        deadline = clock() + float(request.query.get("timeoutSeconds") or WATCH_SECONDS)
        while clock() < deadline:
            changed = self._store.changed
            for change in self._store.changes[seen:]:
                seen = change.revision
                if change.resource == resource and selected(change.object, *selection):
                    await send(change.type, change.object)
            if seen == self._store.revision:
                try:
                    await asyncio.wait_for(changed.wait(), deadline - clock())
                except TimeoutError:
                    break
        if request.query.get("allowWatchBookmarks") in {"true", "True", "1"}:
            kind = {"apiVersion": KINDS[resource].api_version, "kind": KINDS[resource].name}
            await send("BOOKMARK", {**kind, "metadata": {"resourceVersion": str(seen)}})
        return response

    async def _log(self, request: web.Request) -> web.StreamResponse:
        pod = self._store.get("pods", request.match_info["namespace"], request.match_info["name"])
        if pod is None:
            _refuse(web.HTTPNotFound, "NotFound", f'pods "{request.match_info["name"]}" not found')
        path = self._node.log(pod)
        if path is None or request.query.get("previous") in {"true", "True"}:
            message = f'container "{pod["spec"]["containers"][0]["name"]}" has no such log'
            _refuse(web.HTTPBadRequest, "BadRequest", message)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        with path.open("rb") as log:
            if "tailLines" in request.query:
                await response.write(b"".join(deque(log, int(request.query["tailLines"]))))
            while True:
                # Asked before reading: what was written before the end is then read, too.
                follow = request.query.get("follow") in {"true", "True"} and self._node.runs(pod)
                await response.write(log.read())
                if not follow:
                    return response
                await asyncio.sleep(LOG_SECONDS)

    def _found(self, request: web.Request) -> Object:
        resource, name = _resource(request), request.match_info["name"]
        item = self._store.get(resource, request.match_info.get("namespace"), name)
        if item is None:
            _refuse(web.HTTPNotFound, "NotFound", f'{resource} "{name}" not found')
        return item


def invalid(item: Object) -> str | None:
    """Return what is wrong with an object, by the published schema and for the quantities that count here.

    Fields that the schema does not know are let pass, as by a real server: Prefect's own template has some.
    """
    try:
        kubernetes_validate.validate(item, SCHEMAS, strict=False)
        if item["kind"] == "Job":
            cpus_requested(item["spec"]["template"]["spec"]["containers"][0])
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
    except ValueError as error:
        return str(error)
    return None


def _answer(body: Any) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response(body)

    return handler


def _discovery(api_version: str) -> Object:
    resources = [
        {"name": plural, "singularName": kind.name.lower(), "kind": kind.name, "verbs": VERBS}
        | {"namespaced": kind.namespaced}
        for plural, kind in KINDS.items()
        if kind.api_version == api_version
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version,
        "resources": resources,
    }


def _resource(request: web.Request) -> str:
    resource = request.match_info["resource"]
    if resource not in KINDS or not request.path.startswith(_base(resource)):
        _refuse(web.HTTPNotFound, "NotFound", "the server could not find the requested resource")
    return resource


def _base(resource: str) -> str:
    return next(base for base, version in BASES.items() if version == KINDS[resource].api_version)


def _selection(request: web.Request) -> tuple[str | None, str, str]:
    """Return namespace, label selector and field selector of a request."""
    query = request.query
    return (
        request.match_info.get("namespace"),
        query.get("labelSelector", ""),
        query.get("fieldSelector", ""),
    )


def _merge(item: Object, change: Object) -> None:
    """Apply a merge patch: RFC 7386."""
    for name, value in change.items():
        if value is None:
            item.pop(name, None)
        elif isinstance(value, dict) and isinstance(item.get(name), dict):
            _merge(item[name], value)
        else:
            item[name] = value


def _refuse(error: type[web.HTTPError], reason: str, message: str) -> NoReturn:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message}
    text = json.dumps({**status, "code": error.status_code})
    raise error(text=text, content_type="application/json")
