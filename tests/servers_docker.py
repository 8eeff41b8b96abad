"""A real Docker daemon for the tests, on a private socket, and an image that is made without a registry.

`DOCKER_HOST` names another daemon to use. It must be on this machine: the image is almost empty, and its
containers see the Python and the packages of the tests by read-only mounts.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from servers import ServerUnavailable, unavailable

TESTS = Path(__file__).parent
IMAGE = "lume-services-tests:1"
START_SECONDS = 60
REMEDY = "apt-get install docker.io, as root, and pip install 'lume-services[docker]'; or set DOCKER_HOST"


class Daemon:
    """A dockerd with everything in a folder of its own; it leaves the network of the machine alone."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="docker-"))
        self.host = f"unix://{self.folder}/docker.sock"
        command = [
            *("dockerd", "--host", self.host, "--pidfile", f"{self.folder}/pid"),
            *("--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec"),
            *("--bridge", "none", "--iptables=false"),
        ]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        # dockerd leaves its network namespace mounted.
        subprocess.run(["umount", f"{self.folder}/exec/netns/default"], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if _serves(self.folder / "docker.sock"):
                return
            time.sleep(0.2)
        last = (self.folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
        raise ServerUnavailable(f"dockerd does not start here ({' '.join(last)})")


def host() -> str:
    """Return the address of a daemon that has the image, or skip the test."""
    if importlib.util.find_spec("docker") is None:
        unavailable("docker-py is not installed", REMEDY)
    try:
        return _session_host()
    except ServerUnavailable as error:
        unavailable(str(error), REMEDY)


@contextmanager
def client(address: str | None = None) -> Iterator[Any]:
    """Give a docker-py client of that daemon."""
    import docker

    with closing(docker.DockerClient(base_url=address or host(), timeout=30)) as opened:
        yield opened


def volumes() -> list[str]:
    """Return the mounts in which a container finds Python and all packages, where they are here."""
    packages = [name for name in sys.path if Path(name).name in {"site-packages", "dist-packages"}]
    folders = {Path(name) for name in ("/usr", sys.prefix, sys.base_prefix, *packages, TESTS.parent)}
    outer = [folder for folder in folders if not folders.intersection(folder.parents)]
    return [f"{folder}:{folder}:ro" for folder in sorted(outer)]


def kill(run_id: str) -> None:
    """End the container of a flow run as `kill -9` does."""
    with client() as docker:
        (container,) = docker.containers.list(filters={"label": f"io.prefect.flow-run-id={run_id}"})
        container.kill()


def remove_containers() -> None:
    """Remove the containers of the image, which are kept so that the worker sees how each ended."""
    with client() as docker:
        for container in docker.containers.list(all=True, filters={"ancestor": IMAGE}):
            container.remove(force=True)


@functools.cache
def _session_host() -> str:
    given = os.environ.get("DOCKER_HOST")
    if given is None:
        if shutil.which("dockerd") is None:
            raise ServerUnavailable("dockerd is not installed")
        daemon = Daemon()
        atexit.register(daemon.stop)
    elif not _answers(given):
        raise ServerUnavailable(f"no Docker daemon answers at DOCKER_HOST={given}")
    found = given or daemon.host
    _import_image(found)
    return found


def _serves(path: Path) -> bool:
    """Tell whether a daemon answers at a socket. Of docker-py each vain attempt leaves a connection open."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        try:
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


def _answers(address: str) -> bool:
    from docker.errors import DockerException

    try:
        with client(address) as docker:
            return bool(docker.ping())
    except (DockerException, OSError):
        return False


def _import_image(address: str) -> None:
    changes = [
        f"ENV PATH={sys.prefix}/bin:/usr/bin:/bin",
        f"ENV PYTHONPATH={TESTS}",
        "ENV PREFECT_HOME=/tmp/prefect",
    ]
    name, tag = IMAGE.split(":")
    with client(address) as docker:
        docker.api.import_image_from_data(_root_folder(), repository=name, tag=tag, changes=changes)


def _root_folder() -> bytes:
    """Return a tar of the root folder of a machine whose programs are all below /usr."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for folder in ("etc", "proc", "sys", "dev", "usr", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        for link in ("bin", "lib", "lib64", "sbin"):
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{link}"
            tar.addfile(entry)
        passwd = b"root:x:0:0:root:/tmp:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size = len(passwd)
        tar.addfile(entry, io.BytesIO(passwd))
    return content.getvalue()
