"""Settings: arguments, environment variables and configuration files."""

from __future__ import annotations

import ast
import os
from contextlib import suppress
from typing import Any

from fuzz.hdf5_files import written
from fuzz.mutate import Mutator, json_text
from fuzz.target import Target
from lume_services.config.read import read_settings

_MONGODB = {"host": "localhost", "port": 27017, "username": "u", "password": "p", "options": {"tls": True}}
_MOUNTED = {"type": "mounted", "mount_path": "/a", "mount_alias": "/b"}
_SERVER = {"api_url": "http://localhost:4200/api"}
_ARGUMENTS: list[Any] = [
    {"home": "/tmp/lume", "backend": "local", "results_db": {"type": "file", "path": "store"}},
    {"results_db": {"type": "hdf5", "compression": "gzip", "chunk_bytes": 1 << 20}, "serializers": ["a.b:C"]},
    {"results_db": _MONGODB, "filesystems": {"local": {"root": "/data"}, "m": _MOUNTED}},
    {"backend": "process", "prefect": _SERVER, "worker": {"queues": ["a"], "limit": 2}},
    {"backend": "kubernetes", "run_config": {"image": "a", "memory_limit": "129e6", "env": {"A": "b"}}},
]
_VARIABLES = [
    {"LUME_BACKEND": "local", "LUME_RESULTS_DB__TYPE": "hdf5", "LUME_RESULTS_DB__PATH": "/tmp/store"},
    {"LUME_RESULTS_DB": '{"type": "mongodb", "host": "h"}', "LUME_RESULTS_DB__PASSWORD": "pw"},
    {"LUME_MOUNTED_FILESYSTEM__MOUNT_PATH": "/a", "LUME_MOUNTED_FILESYSTEM__MOUNT_ALIAS": "/b"},
    {"LUME_RUN_CONFIG": '{"env": {"A": "b"}}', "LUME_WORKER__LIMIT": "3", "LUME_FILESYSTEMS__X__ROOT": "/x"},
]
_FILES = [
    "backend: local\nresults_db:\n  type: hdf5\n  path: /tmp/x\n",
    "filesystems: {a: {root: /b}}\nserializers: []\n",
]


def _seeds() -> list[dict[str, Any]]:
    return [
        *({"arguments": arguments} for arguments in _ARGUMENTS),
        *({"variables": variables} for variables in _VARIABLES),
        *({"file": text} for text in _FILES),
    ]


def _mutate(mutator: Mutator, seed: dict[str, Any]) -> dict[str, Any]:
    [(kind, given)] = seed.items()
    if kind == "file":
        return {kind: mutator.text(given)}
    mutator.seeds = _ARGUMENTS if kind == "arguments" else _VARIABLES
    return {kind: mutator.tree(given)}


def _read(seed: dict[str, Any]) -> None:
    [(kind, given)] = seed.items()
    before = dict(os.environ)
    try:
        if kind == "arguments":
            read_settings(given if isinstance(given, dict) else {"home": given})
        elif kind == "variables":
            _set(given)
            read_settings()
        else:
            with written(given.encode("utf-8", "surrogatepass"), ".yaml") as path:
                read_settings({"config_file": str(path)})
    finally:
        os.environ.clear()
        os.environ.update(before)


def _set(variables: Any) -> None:
    for name, value in variables.items() if isinstance(variables, dict) else ():
        text = value if isinstance(value, str) else json_text(value)
        if "\0" not in f"{name}{text}" and "=" not in name and name:
            with suppress(UnicodeEncodeError):  # no environment has it
                os.environ[name] = text


TARGET = Target(
    "settings",
    _seeds,
    _mutate,
    _read,
    lambda given: repr(given).encode("utf-8", "backslashreplace"),
    lambda data: ast.literal_eval(data.decode()),
)
