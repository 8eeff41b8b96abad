"""The stores that the contract is tested on, and writers in other processes."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import servers_mongodb

from lume_services.config import build_context
from lume_services.services.results import ResultsDB

if TYPE_CHECKING:
    from pymongo.database import Database

# A further store joins here: its settings, for data in a folder of the test.
STORES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "file": lambda folder: {"type": "file", "path": str(folder / "store")},
    "hdf5": lambda folder: {"type": "hdf5", "path": str(folder / "store")},
    "mongodb": lambda _: servers_mongodb.settings(),
}

_OPEN = """
import json, sys
from lume_services.config import build_context
store = build_context({"home": ".", "results_db": json.loads(sys.argv[1])}).results_db()
arguments = sys.argv[2:]
"""


@pytest.fixture(params=STORES)
def store_settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The settings of a new, empty store."""
    return STORES[request.param](tmp_path)


@pytest.fixture
def open_store(store_settings: dict[str, Any], tmp_path: Path) -> Iterator[Callable[[], ResultsDB]]:
    """Opens the store once more, as another process would."""
    opened: list[ResultsDB] = []

    def open_again(**changed: Any) -> ResultsDB:
        settings = {"home": str(tmp_path), "results_db": {**store_settings, **changed}}
        opened.append(build_context(settings).results_db())
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], ResultsDB]) -> ResultsDB:
    """An empty store."""
    return open_store()


@pytest.fixture
def start_process(
    store_settings: dict[str, Any], tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Runs code in another process, which has the `store` and the text `arguments`."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _OPEN + code, json.dumps(store_settings), *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def in_a_child() -> Callable[..., str]:
    """Does something in a child without root's rights, and returns what it raised."""

    def do(work: Callable[[], None], *, limit: int | None = None) -> str:
        receive, send = os.pipe()
        child = os.fork()
        if not child:
            try:
                if os.getuid() == 0:
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
                if limit is not None:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                work()
            except BaseException as error:
                os.write(send, f"{type(error).__name__}: {error}".encode())
            os._exit(0)
        os.close(send)
        with os.fdopen(receive) as stream:
            message = stream.read()
        os.waitpid(child, 0)
        return message

    return do


@pytest.fixture
def mongodb_settings() -> dict[str, Any]:
    """The arguments of a new `MongodbResultsDB`."""
    return {name: value for name, value in servers_mongodb.settings().items() if name != "type"}


@pytest.fixture
def database(mongodb_settings: dict[str, Any]) -> Iterator[Database[dict[str, Any]]]:
    """The database of the `mongodb_settings` as another program sees it."""
    from pymongo import MongoClient

    with MongoClient(mongodb_settings["uri"]) as client:
        yield client[mongodb_settings["database"]]
        client.drop_database(mongodb_settings["database"])
