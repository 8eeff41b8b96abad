"""What may hold a secret is shown without it, wherever settings are shown."""

import json
import logging
import pickle
import traceback

import pytest
from typer.testing import CliRunner

from lume_services.cli.app import app
from lume_services.config import build_context
from lume_services.config.reference import shown_values
from lume_services.errors import ConfigurationError, RunConfigError
from lume_services.services.scheduling import DockerRunConfig, KubernetesRunConfig
from lume_services.values.secret import MASK, masked, without_credentials

SECRET = "hunter2"
SETTINGS = {
    "results_db": {
        "type": "mongodb",
        "password": SECRET,
        "options": {"tlsCertificateKeyFilePassword": SECRET, "x": [SECRET], "y": {"z": SECRET}, "tls": True},
    },
    "prefect": {"api_url": f"https://user:{SECRET}@host/api", "api_auth_string": f"u:{SECRET}"},
    "worker": {"env": {"API_TOKEN": SECRET, "PLAIN": SECRET}, "labels": {"site": "north", "token": SECRET}},
    "run_config": {
        "env": {"PASSWORD": SECRET},
        "image": f"https://robot:{SECRET}@registry/image",
        "registry_credentials": {"username": "u", "password": SECRET},
        "host_config": {"environment": [f"A={SECRET}"]},
        "job": {"containers": [{"env": [{"name": "A", "value": SECRET}]}, {"name": "A", "value": SECRET}]},
        "headers": {"X-Any": SECRET},
        "mem_limit": "2g",
        "pin_code_key": 1234,
    },
    "filesystems": {"far": {"type": "some.module:Class", "options": {"key": SECRET, "anon": False}}},
}


def environment(settings, path=("LUME",)):
    """Return the settings as environment variables."""
    return {
        f"LUME_{section.upper()}__{name.upper()}": json.dumps(value) if isinstance(value, dict) else value
        for section, fields in settings.items()
        if section not in ("filesystems", "run_config")
        for name, value in fields.items()
    } | {f"LUME_{name.upper()}": json.dumps(settings[name]) for name in ("filesystems", "run_config")}


@pytest.fixture
def settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in environment(SETTINGS).items():
        monkeypatch.setenv(name, value)
    from lume_services.config.read import read_settings

    return read_settings()


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_config_show(settings, form):
    shown = CliRunner().invoke(app, ["config", "show", *form])
    assert shown.exit_code == 0, shown.stderr
    assert SECRET not in shown.stdout + shown.stderr
    assert "API_TOKEN" in shown.stdout
    assert "1234" not in shown.stdout


def test_what_is_no_secret_is_shown(settings):
    values = shown_values(settings)
    assert values["results_db", "options"] == {
        "tlsCertificateKeyFilePassword": MASK,
        "x": [MASK],
        "y": {"z": MASK},
        "tls": True,
    }
    assert values["worker", "labels"] == {"site": "north", "token": MASK}
    assert values["prefect", "api_url"] == f"https://{MASK}@host/api"
    run_config = values["run_config",]
    assert run_config["mem_limit"] == "2g"
    assert run_config["image"] == f"https://{MASK}@registry/image"
    assert run_config["job"]["containers"][1] == {"name": "A", "value": MASK}
    assert values["filesystems", "far", "options"] == {"key": MASK, "anon": False}


def test_representations_and_logs(settings, caplog):
    logging.getLogger("any").warning("%s %r", settings, settings.worker)
    texts = [caplog.text, repr(settings), str(settings), f"{settings.results_db} {settings.filesystems}"]
    assert not [text for text in texts if SECRET in text]
    assert "hunter2" in json.dumps(settings.model_dump(include={"worker"}))  # programs have the values
    for kind in (DockerRunConfig, KubernetesRunConfig):
        config = kind(env={"A": SECRET})
        assert SECRET not in repr(config) + str(config) + repr(config.build())


WRONG = [
    ({"worker": {"env": {"A": [SECRET]}}}, "worker"),
    ({"worker": {"env": SECRET}}, "worker"),
    ({"worker": SECRET}, "worker"),
    ({"results_db": SECRET}, "results_db"),
    ({"results_db": {"type": "mongodb", "options": [SECRET]}}, "results_db"),
    ({"results_db": {"type": "mongodb", "password": [SECRET]}}, "results_db"),
    ({"prefect": {"api_url": f"htp://u:{SECRET}@h"}}, "prefect"),
    ({"prefect": {"api_auth_string": {"a": SECRET}}}, "prefect"),
    ({"run_config": [SECRET]}, "run_config"),
    ({"filesystems": {"a": {"type": "x.y:Z", "options": SECRET}}}, "filesystems"),
    ({"filesystems": {"a": SECRET}}, "filesystems"),
]


@pytest.mark.parametrize(("wrong", "where"), WRONG)
def test_errors(wrong, where):
    with pytest.raises(ConfigurationError) as caught:
        build_context(wrong)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)
    assert SECRET not in told.replace("build_context(wrong)", "")
    assert SECRET.encode() not in pickle.dumps(caught.value)
    assert f"argument: {where}" in str(caught.value)


@pytest.mark.parametrize("wrong", [{"env": {"A": [SECRET]}}, {"env": SECRET}, {"env": {"A": SECRET}, "x": 1}])
def test_errors_of_run_configs(wrong):
    with pytest.raises(RunConfigError) as caught:
        DockerRunConfig.of(wrong)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mongodb://u:p@h1,h2/db", f"mongodb://{MASK}@h1,h2/db"),
        ("postgresql+asyncpg://u:p@h/db'", f"postgresql+asyncpg://{MASK}@h/db'"),
        (
            "see https://ghp_token@github.com/a and http://b/c",
            f"see https://{MASK}@github.com/a and http://b/c",
        ),
        ("http://h/a?x=1&access_token=p&y=2", f"http://h/a?x=1&access_token={MASK}&y=2"),
        ("user@host: a@b.c", "user@host: a@b.c"),
    ],
)
def test_text_with_urls(text, shown):
    assert without_credentials(text) == shown


def test_a_value_alone():
    assert masked("env", ["A=1"]) == [MASK]
    assert masked("limit", 3) == 3
    assert masked("options", {"a": None, "b": True, "c": 1.5}) == {"a": None, "b": True, "c": MASK}
