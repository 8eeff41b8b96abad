"""MongoDB, PostgreSQL, a Prefect server and a worker by `docker compose`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lume_services.errors import ConfigurationError, Problem, ServicesError

_PACKAGE = Path(__file__).parent.parent
# In the installed package, and beside it where that is a working copy of the repository.
_PLACES = (_PACKAGE / "compose" / "compose.yaml", _PACKAGE.parent / "config" / "compose.yaml")
_REQUIRED = re.compile(r"\$\{(\w+):?\?[^}]*\}")
_ENDED = {"exited", "dead"}
_LINES = 8
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class ServiceState:
    """How a service stands.

    Attributes:
        service: Its name in the compose file.
        state: Of its container, as Docker calls it; `absent` where it has none.
        health: What its health check says: `starting`, `healthy`, `unhealthy`; empty where there is none.
        ports: The ports of this machine under which it is reached.
    """

    service: str
    state: str = "absent"
    health: str = ""
    ports: str = ""

    @property
    def ready(self) -> bool:
        """Whether it can be used."""
        return self.state == "running" and self.health in {"healthy", ""}

    @property
    def hopeless(self) -> bool:
        """Whether it does not become ready by itself."""
        return self.state in _ENDED or self.health == "unhealthy"


class Compose:
    """The services of compose files.

    Args:
        files: The compose files, later ones over earlier ones; the one of this package if empty.

    Raises:
        ServicesError: Docker or its plug-in compose is not installed, or a file is not there.
        ConfigurationError: Variables that the files want are not set; all of them at once.
    """

    def __init__(self, files: Sequence[Path] = ()) -> None:
        self._files = [path.absolute() for path in files] or [_packaged()]
        for path in self._files:
            if not path.is_file():
                raise ServicesError("there is no such file.", where=str(path), remedy="See --file.")
        program = shutil.which("docker")
        if program is None:
            raise ServicesError(
                "the command docker is not installed.",
                remedy="Install Docker, with its plug-in compose; or see docs/howto/workers.md for a server "
                "and a worker without it.",
            )
        self._command = [program, "compose"]
        variables = next(
            (path for path in (Path(".env"), self._files[0].with_name(".env")) if path.is_file()), None
        )
        if variables is not None:
            self._command += ["--env-file", str(variables.absolute())]
        self._command += [argument for path in self._files for argument in ("--file", str(path))]
        self._check_plugin(program)
        self._check_variables(variables)

    def up(self, changed: Callable[[list[ServiceState]], None], timeout: float) -> None:
        """Start all services and wait until they are ready.

        Args:
            changed: Called with how the services stand, again and again.
            timeout: Seconds to wait at most.

        Raises:
            ServicesError: A service does not become ready; with its last lines.
        """
        deadline = time.monotonic() + timeout
        with tempfile.TemporaryFile("w+") as said:
            starting = subprocess.Popen(  # noqa: S603 - our own command
                [*self._command, "up", "--detach"], stdout=subprocess.DEVNULL, stderr=said
            )
            try:
                while not self._all_ready(starting, said, changed):
                    if time.monotonic() > deadline:
                        late = [one for one in self.status() if not one.ready]
                        raise self._failure(late, f"not ready after {timeout:g} s")
                    time.sleep(_POLL_SECONDS)
            finally:
                if starting.poll() is None:
                    starting.terminate()
                    starting.wait()

    def down(self) -> None:
        """Stop all services and remove their containers; their data stay.

        Raises:
            ServicesError: Docker does not do it.
        """
        self._run("down")

    def status(self) -> list[ServiceState]:
        """Return how each service of the files stands.

        Raises:
            ServicesError: Docker does not tell.
        """
        states = {name: ServiceState(name) for name in self._run("config", "--services").split()}
        for line in self._run("ps", "--all", "--format", "json").splitlines():
            found = json.loads(line)
            published = {
                f"{one['URL']}:{one['PublishedPort']}"
                for one in found["Publishers"] or ()
                if one["PublishedPort"]
            }
            name = found["Service"]
            states[name] = ServiceState(name, found["State"], found["Health"], " ".join(sorted(published)))
        return [states[name] for name in sorted(states)]

    def _all_ready(
        self, starting: subprocess.Popen[bytes], said: IO[str], changed: Callable[[list[ServiceState]], None]
    ) -> bool:
        """Look once. Before Compose has done its part, a service may still be as it ended the last time."""
        ended = starting.poll()
        states = self.status()
        changed(states)
        if ended is None:
            return False
        failed = [one for one in states if one.hopeless]
        if ended or failed:
            said.seek(0)
            raise self._failure(failed, said.read())
        return all(one.ready for one in states)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - our own command
            [*self._command, *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise self._failure([], done.stderr)
        return done.stdout

    def _check_plugin(self, program: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own command
            [program, "compose", "version"], capture_output=True, check=False
        )
        if done.returncode:
            raise ServicesError(
                "docker has no plug-in compose.",
                where=program,
                remedy="Install it, version 2: docker-compose-plugin, or docker-compose in newer Debian.",
            )

    def _check_variables(self, given: Path | None) -> None:
        """Compare what the files want with what is set; Compose itself tells one at a time."""
        from dotenv import dotenv_values

        known = {**(dotenv_values(given) if given else {}), **os.environ}
        wanted = {name for path in self._files for name in _REQUIRED.findall(path.read_text())}
        missing = sorted(name for name in wanted if not known.get(name))
        if missing:
            remedy = f"The first lines of {self._files[0]} tell what it is."
            problems = [Problem("is not set.", where=name) for name in missing[:-1]]
            problems.append(Problem("is not set.", where=missing[-1], remedy=remedy))
            raise ConfigurationError("the services cannot be told what they need to know", problems)

    def _failure(self, services: Sequence[ServiceState], said: str) -> ServicesError:
        last = " ".join(said.strip().splitlines()[-1:])
        if "Cannot connect to the Docker daemon" in said:
            return ServicesError(last, remedy="Start it, or set DOCKER_HOST to one that runs.")
        if not services:
            return ServicesError(last or "docker compose failed", where=str(self._files[0]))
        names = [one.service for one in services]
        lines = self._run("logs", "--no-color", "--tail", str(_LINES), *names)
        how = ", ".join(f"{one.service} is {one.health or one.state}" for one in services)
        return ServicesError(
            f"{how}. {last}\n{lines.rstrip()}",
            where=str(self._files[0]),
            remedy="\nMend the cause and run the command again.",
        )


def _packaged() -> Path:
    return next((path for path in _PLACES if path.is_file()), _PLACES[0])
