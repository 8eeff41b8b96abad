"""`lume-services register`: what is registered on a real Prefect server, and what is refused before."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import servers_prefect
from typer.testing import CliRunner

from lume_services.cli.app import app
from lume_services.config import configure, unconfigure
from lume_services.services.scheduling.backends.server_api import ServerAPI

SPEC = str(files("lume_services.examples.quad_scan") / "quad_scan.yaml")
NOBODY = "http://127.0.0.1:9/api"


def call(*arguments: str) -> Any:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


@pytest.fixture
def on_server(tmp_path, monkeypatch, lume_context):
    """Configure the process backend with the server of this URL."""

    def on_server(url: str) -> None:
        unconfigure()
        settings = {"api_url": url, "work_pool": f"test-{tmp_path.name}"}
        configure({"home": str(tmp_path / "lume"), "backend": "process", "prefect": settings})

    return on_server


def deployment(name: str) -> Any:
    with ServerAPI(servers_prefect.session_server().url, None).client() as client:
        return client.read_deployment_by_name(name)


def test_the_local_backend_keeps_nothing(lume_context):
    done = call("register", SPEC)
    assert done.exit_code == 1
    assert "LUME_BACKEND: nothing would keep the flow" in done.stderr
    assert "LUME_BACKEND=process" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cron", "every day"], "The schedule is not valid"),
        (["--cron", "0 6 * *"], "The schedule is not valid"),
        (["--rrule", "FREQ=SOMETIMES"], "The schedule is not valid"),
        (["--interval", "0"], "--interval"),
        (["--interval", "often"], "--interval"),
        (["--cron", "0 6 * * *", "--interval", "60"], "Give one of --cron, --interval, --rrule."),
        (["--cron", "0 6 * * *", "--rrule", "FREQ=DAILY"], "Give one of --cron, --interval, --rrule."),
    ],
)
def test_a_schedule_that_is_none_is_told_before_anything_is_sent(on_server, options, message):
    on_server(NOBODY)
    done = call("register", SPEC, *options)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_spec_that_is_wrong_is_told_before_anything_is_sent(on_server, tmp_path):
    on_server(NOBODY)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(Path(SPEC).read_text().replace("parent_flow_name: track", "parent_flow_name: trakc"))
    done = call("register", str(wrong))
    assert done.exit_code == 2
    assert "Did you mean 'track'" in done.stderr


def test_a_server_that_is_away(on_server):
    on_server(NOBODY)
    done = call("register", SPEC)
    assert done.exit_code == 1
    assert NOBODY in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "kept"),
    [
        ("cron", "0 6 * * *", "0 6 * * *"),
        ("rrule", "FREQ=DAILY;BYHOUR=6", "FREQ=DAILY;BYHOUR=6"),
        ("interval", "90", "0:01:30"),
    ],
)
def test_a_schedule_is_registered_and_the_same_again_changes_nothing(on_server, option, value, kept):
    on_server(servers_prefect.session_server().url)
    arguments = (
        "register",
        SPEC,
        "--project",
        f"by-{option}",
        "--label",
        "night",
        f"--{option}",
        value,
        "--json",
    )
    done = call(*arguments)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"name": f"quad_scan/by-{option}", "steps": ["beam", "track", "fit"]}
    found = deployment(told["name"])
    assert "night" in found.tags
    [schedule] = found.schedules
    assert str(getattr(schedule.schedule, option)).endswith(kept)
    assert json.loads(call(*arguments).stdout) == told
    assert deployment(told["name"]).updated == found.updated


def test_it_tells_how_to_run_it(on_server):
    on_server(servers_prefect.session_server().url)
    assert call("register", SPEC, "--project", "night shift").stdout.splitlines() == [
        "quad_scan/night shift is registered.",
        "To run it: prefect deployment run 'quad_scan/night shift'",
    ]


def test_the_form_is_one_typed_group_for_each_step(on_server):
    on_server(servers_prefect.session_server().url)
    assert call("register", SPEC, "--project", "form").exit_code == 0
    schema = deployment("quad_scan/form").parameter_openapi_schema
    groups = {
        name: schema["definitions"][one["$ref"].rpartition("/")[2]] for name, one in _references(schema)
    }
    assert list(groups) == ["beam", "track", "fit"]
    assert groups["beam"]["properties"]["n_particle"]["type"] == "integer"
    assert "beam_file" not in groups["track"]["properties"]


def _references(schema: Any) -> list[tuple[str, Any]]:
    """The groups by the names of their parameters, wherever their reference stands."""
    return [(name, one if "$ref" in one else one["allOf"][0]) for name, one in schema["properties"].items()]
