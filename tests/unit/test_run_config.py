"""Run configs: their fields, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lume_services.config import LUMEServicesSettings
from lume_services.errors import RunConfigError
from lume_services.services.scheduling import DockerRunConfig, LocalRunConfig, RunConfig

ROOT = Path(__file__).parent.parent.parent


class OtherRunConfig(RunConfig):
    def build(self):
        raise NotImplementedError


def test_defaults_set_nothing():
    built = LocalRunConfig().build()
    assert (built.work_pool_type, built.work_queue, built.job_variables, built.tags) == (
        None,
        None,
        {},
        frozenset(),
    )


def test_what_is_given_is_built(tmp_path):
    config = LocalRunConfig.of({"env": {"A": "1"}, "working_dir": str(tmp_path), "labels": ["night", "a"]})
    built = config.build()
    assert built.job_variables == {"env": {"A": "1"}, "working_dir": str(tmp_path)}
    assert built.tags == {"night", "a"}


def test_a_relative_working_dir_is_that_of_the_moment(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    config = LocalRunConfig(working_dir="here")
    monkeypatch.chdir("/")
    assert config.working_dir == Path(tmp_path / "here")


def test_it_survives_json(tmp_path):
    config = LocalRunConfig(env={"A": "1"}, working_dir=tmp_path, labels={"a"})
    assert LocalRunConfig.model_validate_json(config.model_dump_json()) == config


def test_of_keeps_a_run_config():
    config = LocalRunConfig(labels={"a"})
    assert LocalRunConfig.of(config) is config
    assert LocalRunConfig.of(None) == LocalRunConfig()


def test_all_problems_are_told_at_once(tmp_path):
    with pytest.raises(RunConfigError) as caught:
        LocalRunConfig.of({"enf": {}, "env": {"A": 1}, "working_dir": str(tmp_path / "nowhere")})
    message = str(caught.value)
    assert "enf" in message
    assert "'env'" in message or "env" in message
    assert "env.A" in message
    assert "working_dir" in message


def test_the_run_config_of_another_backend_is_refused():
    with pytest.raises(RunConfigError, match="OtherRunConfig cannot be used here.*LocalRunConfig"):
        LocalRunConfig.of(OtherRunConfig())


def test_what_is_set_takes_the_place_of_the_defaults():
    defaults = DockerRunConfig(
        image="flows:1", network="host", labels={"night"}, env={"A": "1", "B": "1"}, volumes=["/a:/a"]
    )
    run_config = defaults.updated({"image": "flows:2", "labels": ["urgent"], "env": {"B": "2"}})
    assert run_config == DockerRunConfig(
        image="flows:2",
        network="host",
        labels={"night", "urgent"},
        env={"A": "1", "B": "2"},
        volumes=["/a:/a"],
    )
    assert defaults.updated(None) == defaults
    with pytest.raises(RunConfigError, match="imag: no such field. Did you mean 'image'"):
        defaults.updated({"imag": "flows:2"})


def test_docker_fields_become_job_variables():
    config = DockerRunConfig(
        image="flows:1", network="lab", ports=[8080], host_config={"shm_size": "1g"}, work_queue="night"
    )
    built = config.build()
    assert (built.work_pool_type, built.work_queue) == ("docker", "night")
    assert built.job_variables == {
        "image": "flows:1",
        "networks": ["lab"],
        "container_create_kwargs": {"shm_size": "1g", "ports": {"8080": None}},
    }
    assert DockerRunConfig(network="none").build().job_variables == {"network_mode": "none"}
    with pytest.raises(RunConfigError, match="network"):
        DockerRunConfig.of({"network": "two words"})


def test_the_sample_for_docker_is_valid(monkeypatch):
    for name in [name for name in os.environ if name.startswith("LUME_")]:
        monkeypatch.delenv(name)
    settings = LUMEServicesSettings(_env_file=ROOT / "config" / "docker.env")
    assert settings.backend == "docker"
    config = DockerRunConfig.of(settings.run_config)
    assert (config.image, config.auto_remove, config.volumes) == (
        "my-flows:1",
        True,
        ["/srv/lume:/srv/lume"],
    )
