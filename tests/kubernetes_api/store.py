"""The objects of the Kubernetes API server of the tests, with their history for those who watch."""

from __future__ import annotations

import asyncio
import copy
import re
import secrets
import string
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

Object = dict[str, Any]


class Kind(NamedTuple):
    """A kind of object that the server keeps."""

    api_version: str
    name: str
    namespaced: bool = True


KINDS = {
    "configmaps": Kind("v1", "ConfigMap"),
    "events": Kind("v1", "Event"),
    "jobs": Kind("batch/v1", "Job"),
    "namespaces": Kind("v1", "Namespace", namespaced=False),
    "pods": Kind("v1", "Pod"),
    "secrets": Kind("v1", "Secret"),
}


@dataclass(frozen=True)
class Change:
    """What happened to an object, and what it was after that."""

    revision: int
    resource: str
    type: str
    object: Object


class Store:
    """All objects, and all changes to them since the start."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.changed = asyncio.Event()
        self._objects: dict[tuple[str, str | None, str], Object] = {}
        self.add("namespaces", {"metadata": {"name": "default"}})

    @property
    def revision(self) -> int:
        return len(self.changes)

    def get(self, resource: str, namespace: str | None, name: str) -> Object | None:
        return self._objects.get((resource, namespace, name))

    def select(self, resource: str, namespace: str | None, labels: str, fields: str) -> list[Object]:
        """Return the objects that a list asks for."""
        found = (item for (kind, _, _), item in self._objects.items() if kind == resource)
        return [item for item in found if selected(item, namespace, labels, fields)]

    def dependents(self, owner: Object) -> list[tuple[str, Object]]:
        """Return the objects that belong to another, with their resources."""
        uid = owner["metadata"]["uid"]
        return [
            (resource, item)
            for (resource, _, _), item in self._objects.items()
            if any(reference["uid"] == uid for reference in item["metadata"].get("ownerReferences", ()))
        ]

    def holds(self, resource: str, item: Object) -> bool:
        """Return whether this very object is there still."""
        return self._objects.get(_key(resource, item)) is item

    def add(self, resource: str, item: Object) -> None:
        """Keep a new object under its name, or under one that begins with its `generateName`."""
        metadata = item["metadata"]
        metadata.setdefault("name", f"{metadata.get('generateName', '')}{_suffix()}")
        metadata.update(uid=str(uuid.uuid4()), creationTimestamp=now())
        item.update(apiVersion=KINDS[resource].api_version, kind=KINDS[resource].name)
        self._objects[_key(resource, item)] = item
        self._note("ADDED", resource, item)

    def save(self, resource: str, item: Object) -> None:
        """Make known what was changed in an object."""
        self._note("MODIFIED", resource, item)

    def remove(self, resource: str, item: Object) -> None:
        if self.holds(resource, item):
            del self._objects[_key(resource, item)]
            self._note("DELETED", resource, item)

    def _note(self, type_: str, resource: str, item: Object) -> None:
        item["metadata"]["resourceVersion"] = str(self.revision + 1)
        self.changes.append(Change(self.revision + 1, resource, type_, copy.deepcopy(item)))
        self.changed.set()
        self.changed = asyncio.Event()


def _key(resource: str, item: Object) -> tuple[str, str | None, str]:
    return resource, item["metadata"].get("namespace"), item["metadata"]["name"]


def _suffix() -> str:
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(5))


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def selected(item: Object, namespace: str | None, labels: str, fields: str) -> bool:
    """Return whether an object is in a namespace and fits a label selector and a field selector."""
    metadata = item["metadata"]
    return (
        (namespace is None or metadata.get("namespace") == namespace)
        and all(_has_label(metadata.get("labels") or {}, term) for term in _terms(labels))
        and all(_has_field(item, term) for term in _terms(fields))
    )


def _terms(selector: str) -> Iterator[str]:
    # A comma inside of brackets is part of `name in (a,b)`.
    return (term.strip() for term in re.split(r",(?![^(]*\))", selector) if term.strip())


def _has_label(labels: dict[str, str], term: str) -> bool:
    if among := re.fullmatch(r"(\S+)\s+(in|notin)\s+\((.*)\)", term):
        name, operator, values = among.groups()
        return (labels.get(name) in [value.strip() for value in values.split(",")]) == (operator == "in")
    if compared := re.fullmatch(r"([^!=\s]+)\s*(==|=|!=)\s*(\S*)", term):
        name, operator, value = compared.groups()
        return (labels.get(name) == value) == (operator != "!=")
    return term[1:] not in labels if term.startswith("!") else term in labels


def _has_field(item: Object, term: str) -> bool:
    path, operator, value = re.fullmatch(r"([^!=]+)(==|=|!=)(.*)", term).groups()
    found: Any = item
    for name in path.split("."):
        found = (found or {}).get(name)
    return (str(found if found is not None else "") == value) == (operator != "!=")
