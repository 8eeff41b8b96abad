"""`lume-services services`: the compose file of config/, brought up by a real Docker daemon.

No registry is asked: all services have the image of the tests. The Prefect server and the worker are real,
and so are their health checks; MongoDB and PostgreSQL only wait.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import backend_flows as flows
import pytest
import servers
import servers_docker
import servers_prefect
import yaml

from lume_services.config import build_context, close_context, use_context

pytestmark = pytest.mark.system

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "config" / "compose.yaml"
PASSWORD = "spectrometer7f3a"
REMEDY = "install docker-compose version 2 as a plug-in of docker"


def services(*arguments, folder, **environment):
    """Run the command as an operator does."""
    return subprocess.run(
        [sys.executable, "-m", "lume_services", "services", *map(str, arguments)],
        env={
            **servers_prefect.clean_environment(folder / "prefect"),
            "PYTHONPATH": str(ROOT / "tests"),
            **environment,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.fixture(scope="module")
def daemon():
    """The address of a Docker daemon, where the plug-in is there, too."""
    address = servers_docker.host()
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        if why := os.environ.get("LUME_TEST_NO_COMPOSE"):
            pytest.skip(f"{why}; try: {REMEDY}")
        servers.unavailable("docker has no plug-in compose", REMEDY)
    return address


@pytest.fixture
def settings(tmp_path, daemon):
    """What the compose file wants to know."""
    home = tmp_path / "lume"
    home.mkdir()
    return {
        "COMPOSE_PROJECT_NAME": tmp_path.name.replace("_", "-"),
        "DOCKER_HOST": daemon,
        "LUME_IMAGE": servers_docker.IMAGE,
        "LUME_HOME": str(home),
        "LUME_USER": f"{os.getuid()}:{os.getgid()}",
        "LUME_PREFECT__API_AUTH_STRING": f"lume:{PASSWORD}",
        "LUME_RESULTS_DB__PASSWORD": PASSWORD,
        "LUME_MONGODB_ROOT_PASSWORD": PASSWORD,
        "LUME_POSTGRESQL_PASSWORD": PASSWORD,
    }


class Tagged(yaml.YAMLObject):
    """Ports in place of those of the file before."""

    yaml_tag = "!override"

    def __init__(self, ports):
        self.ports = ports


yaml.SafeDumper.add_representer(
    Tagged, lambda dumper, data: dumper.represent_sequence(Tagged.yaml_tag, data.ports)
)


@pytest.fixture
def override(tmp_path):
    """Write what is different here, and return the file and the port of the Prefect server."""
    port = servers.free_port()
    mounts = servers_docker.volumes()
    waits = {
        "image": servers_docker.IMAGE,
        "entrypoint": ["sleep", "infinity"],
        "stop_grace_period": "1s",
        "healthcheck": {"test": ["CMD", "true"], "interval": "1s"},
        "volumes": mounts,
    }
    in_memory = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": ""}
    ports = Tagged([f"127.0.0.1:{port}:4200"])
    parts = {
        "mongodb": {**waits, "ports": Tagged([])},
        "postgresql": waits,
        "server": {"volumes": mounts, "environment": in_memory, "ports": ports},
        # The daemon leaves the firewall alone, so containers do not reach each other. And the program of
        # `init` has no place in a read-only /usr.
        "worker": {"volumes": mounts, "network_mode": "service:server", "init": False},
    }
    path = tmp_path / "override.yaml"
    path.write_text(yaml.safe_dump({"services": parts}))
    return path, port


def stop_all(settings):
    """Stop the containers, as a shutdown of the machine does."""
    label = f"com.docker.compose.project={settings['COMPOSE_PROJECT_NAME']}"
    with servers_docker.client() as docker:
        for container in docker.containers.list(filters={"label": label}):
            container.stop(timeout=1)


def test_up_status_a_run_and_down(tmp_path, settings, override):
    path, port = override
    files = ("--file", COMPOSE, "--file", path)
    try:
        done = services("up", *files, folder=tmp_path, **settings)
        assert done.returncode == 0, done.stderr
        assert "All services are ready" in done.stdout
        assert {"server starting", "server healthy", "worker healthy"} <= set(done.stderr.splitlines())
        done = services("status", *files, "--json", folder=tmp_path, **settings)
        states = {one["service"]: one for one in json.loads(done.stdout)}
        assert set(states) == {"mongodb", "postgresql", "server", "worker"}
        assert {(one["state"], one["health"], one["ready"]) for one in states.values()} == {
            ("running", "healthy", True)
        }
        assert states["server"]["ports"] == f"127.0.0.1:{port}"
        prefect = {"api_url": f"http://127.0.0.1:{port}/api", "api_auth_string": f"lume:{PASSWORD}"}
        context = build_context({"home": settings["LUME_HOME"], "backend": "process", "prefect": prefect})
        with use_context(context):
            assert context.scheduling_service().run_and_return(flows.numbers, {"x": 1}, timeout=120) == 6
        close_context(context)
        stop_all(settings)
        again = services("up", *files, folder=tmp_path, **settings)
        assert again.returncode == 0, again.stderr
    finally:
        done = services("down", *files, folder=tmp_path, **settings)
    assert done.returncode == 0, done.stderr
    done = services("status", *files, folder=tmp_path, **settings)
    assert "worker\tabsent\t\t" in done.stdout.splitlines()


def test_a_service_that_ends_is_told_with_its_last_lines(tmp_path, settings):
    path = tmp_path / "compose.yaml"
    broken = {
        "image": servers_docker.IMAGE,
        "command": ["python3", "-c", "raise SystemExit('no magnet')"],
        "volumes": servers_docker.volumes(),
        "network_mode": "none",
    }
    path.write_text(yaml.safe_dump({"services": {"broken": broken}}))
    try:
        done = services("up", "--file", path, folder=tmp_path, **settings)
    finally:
        services("down", "--file", path, folder=tmp_path, **settings)
    assert done.returncode == 1
    assert "broken is exited" in done.stderr
    assert "no magnet" in done.stderr


def test_all_variables_that_are_missing_are_told_at_once(tmp_path, settings):
    (tmp_path / ".env").write_text(f"LUME_POSTGRESQL_PASSWORD={PASSWORD}\n")
    for name in ("LUME_IMAGE", "LUME_USER", "LUME_POSTGRESQL_PASSWORD"):
        del settings[name]
    done = services("status", "--file", COMPOSE, folder=tmp_path, **settings)
    assert done.returncode == 2
    assert "LUME_IMAGE: is not set" in done.stderr
    assert "LUME_USER: is not set" in done.stderr
    assert "LUME_POSTGRESQL_PASSWORD" not in done.stderr
    assert PASSWORD not in done.stderr


def test_a_daemon_that_does_not_answer(tmp_path, settings):
    settings["DOCKER_HOST"] = f"unix://{tmp_path}/nobody"
    done = services("status", folder=tmp_path, **settings)
    assert done.returncode == 1
    assert "Cannot connect to the Docker daemon" in done.stderr
    assert "set DOCKER_HOST" in done.stderr


def test_docker_or_its_plug_in_is_missing(tmp_path):
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    done = services("status", folder=tmp_path, PATH=str(nothing))
    assert done.returncode == 1
    assert "docker is not installed" in done.stderr
    (nothing / "docker").symlink_to(shutil.which("false"))
    done = services("up", folder=tmp_path, PATH=str(nothing))
    assert done.returncode == 1
    assert "no plug-in compose" in done.stderr


def test_a_file_that_is_not_there(tmp_path):
    done = services("down", "--file", "absent.yaml", folder=tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path}/absent.yaml: there is no such file" in done.stderr


def test_the_files_are_in_the_wheel(tmp_path):
    import zipfile

    # As whoever installs it does it: pip fetches what builds the package.
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        assert opened.read("lume_services/compose/compose.yaml") == COMPOSE.read_bytes()
    (mounted,) = (
        name.partition(":")[0]
        for name in yaml.safe_load(COMPOSE.read_text())["services"]["mongodb"]["volumes"]
        if name.startswith("./")
    )
    assert f"lume_services/compose/{mounted.removeprefix('./')}" in names
