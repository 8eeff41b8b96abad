"""Conformance scenarios: caching and persisted results."""

from __future__ import annotations

import time
from datetime import timedelta

from conformance_basics import count
from prefect import flow, task
from prefect.cache_policies import INPUTS, NO_CACHE, TASK_SOURCE, CacheKeyFnPolicy
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH


@task(persist_result=True, cache_policy=INPUTS, result_serializer="json")
def cached(x):
    return count("cached"), x


@task(persist_result=True, cache_policy=INPUTS, cache_expiration=timedelta(seconds=0.3))
def expiring(x):
    return count("expiring")


@task(
    persist_result=True,
    cache_policy=CacheKeyFnPolicy(cache_key_fn=lambda context, inputs: f"key/{inputs['x']}"),
)
def keyed(x):
    return count("keyed")


@task(persist_result=True, cache_policy=(INPUTS + TASK_SOURCE) - "salt")
def composed(x, salt):
    return count("composed")


@task(persist_result=True, cache_policy=NO_CACHE)
def uncached(x):
    return count("uncached")


@task(persist_result=True, cache_policy=INPUTS, refresh_cache=True)
def refreshed(x):
    return count("refreshed")


@flow
def caching(where: str):
    states = [cached((where, i), return_state=True) for i in (1, 1, 2)]
    return [(state.name, state.result()) for state in states]


@flow
def cache_expires(where: str):
    values = [expiring(where), expiring(where)]
    time.sleep(0.4)
    return [*values, expiring(where)]


@flow
def cache_key(where: str):
    return keyed(where), keyed.submit(where).result()


@flow
def cache_policies(where: str):
    return [
        composed(where, 1),
        composed(where, 2),
        uncached(where),
        uncached(where),
        refreshed(where),
        refreshed(where),
    ]


@task(persist_result=True, result_storage_key="stored-{parameters[name]}.json", result_serializer="json")
def stored(name):
    return {"name": name}


@flow(persist_result=True, result_serializer="json")
def persisted(name: str):
    stored(name)
    return (PREFECT_LOCAL_STORAGE_PATH.value() / f"stored-{name}.json").exists()
