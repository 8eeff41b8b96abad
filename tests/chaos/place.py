"""Where it happens: a database, a server and workers, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import servers_postgresql
from servers import free_port
from servers_prefect import clean_environment

from chaos.processes import Kept
from lume_services.config import Context, build_context, close_context, use_context

TESTS = Path(__file__).parent.parent


@dataclass
class Place:
    """All that runs, and the container of a caller."""

    folder: Path
    context: Context
    server: Kept
    workers: list[Kept]

    @property
    def everything(self) -> list[Kept]:
        return [self.server, *self.workers]

    @property
    def temporary(self) -> Path:
        """Where processes keep their temporary files."""
        return self.folder / "tmp"


@contextmanager
def place(workers: int) -> Iterator[Place]:
    """Bring a database, a server and workers up; what still runs at the end is stopped."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        binaries = next(servers_postgresql.folders_with_binaries(), None)
        if binaries is None:
            sys.exit(f"PostgreSQL is not installed; try: {servers_postgresql.REMEDY}")
        database = servers_postgresql.Server(binaries)
        stack.callback(database.stop)
        port = free_port()
        url = f"http://127.0.0.1:{port}/api"
        (folder / "tmp").mkdir()
        environment = {
            **clean_environment(folder / "prefect"),
            "TMPDIR": str(folder / "tmp"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": database.url,
            "LUME_HOME": str(folder / "lume"),
            "LUME_BACKEND": "process",
            "LUME_PREFECT__API_URL": url,
            "LUME_WORKER__RECONCILE_SECONDS": "10",
            "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        }
        server = Kept(
            "server",
            ["server", "start", "--port", str(port)],
            environment,
            folder / "server.log",
            "Use it: export",
        )
        others = [
            Kept(
                f"worker {number}",
                ["worker", "start", "--limit", "4"],
                environment,
                folder / f"worker{number}.log",
                "takes process runs",
            )
            for number in range(workers)
        ]
        settings = {
            "home": str(folder / "lume"),
            "backend": "process",
            "prefect": {"api_url": url, "start_timeout_seconds": 60},
        }
        context = build_context(settings)
        stack.callback(close_context, context)
        found = Place(folder, context, server, others)
        stack.callback(_stop, found)
        server.start()
        server.wait_until_ready()
        for worker in others:
            worker.start()
        for worker in others:
            worker.wait_until_ready()
        with use_context(context):
            yield found


def _stop(place: Place) -> None:
    for one in reversed(place.everything):
        one.stop()
