"""Settings in variables and files mean what is written, and nothing that is set is dropped silently."""

import json
import os

import pytest

from lume_services.config import build_context, unconfigure
from lume_services.config.read import read_sources
from lume_services.config.reference import shown_values
from lume_services.errors import ConfigurationError


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.upper().startswith("LUME_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LUME_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield
    unconfigure()


@pytest.fixture
def settings(monkeypatch):
    def settings(arguments=None, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"LUME_{name}", value if isinstance(value, str) else json.dumps(value))
        return build_context(arguments).settings()

    return settings


def problems(settings, **variables):
    with pytest.raises(ConfigurationError) as caught:
        settings(**variables)
    return {problem.where: problem for problem in caught.value.problems}


def test_a_section_in_json_and_a_variable_of_its_own(settings):
    section = settings(
        RESULTS_DB={"type": "mongodb", "host": "db", "port": 1, "options": {"tls": True}},
        RESULTS_DB__PASSWORD="pw",
        RESULTS_DB__PORT="2",
    ).results_db
    assert (section.host, section.port, section.options) == ("db", 2, {"tls": True})
    assert section.password.get_secret_value() == "pw"


@pytest.mark.parametrize(
    ("variables", "where"),
    [
        ({"RESULTS_DB": {"type": "mongodb"}, "RESULTS_DB__PASWORD": "pw"}, "LUME_RESULTS_DB__PASWORD"),
        ({"RESULTS_DB": {"type": "file"}, "RESULTS_DB__PASSWORD": "pw"}, "LUME_RESULTS_DB__PASSWORD"),
        ({"RESULTS_DB": {"type": "mongodb", "pasword": "p"}}, "LUME_RESULTS_DB: pasword"),
        ({"WORKER": {"limit": 2}, "WORKER__NAM": "x"}, "LUME_WORKER__NAM"),
        ({"FILESYSTEMS": {"a": {"root": "/"}}, "FILESYSTEMS__A__ROT": "x"}, "LUME_FILESYSTEMS__A__ROT"),
        ({"FILESYSTEMS__A": {"root": "/"}, "FILESYSTEMS__A__ROT": "x"}, "LUME_FILESYSTEMS__A__ROT"),
        ({"PREFECT": {"work_pool": "p"}, "PREFECT__API_URLS": "x"}, "LUME_PREFECT__API_URLS"),
    ],
)
def test_a_typo_beside_json_is_told(settings, variables, where):
    assert problems(settings, **variables)[where].message == "unknown name."


SECTIONS = {
    "worker": ({"limit": 2, "env": {"A": "1"}}, "name", "w"),
    "run_config": ({"image": "a", "env": {"A": "1"}}, "image", "b"),
    "prefect": ({"work_pool": "a", "result_filesystem": "x"}, "work_pool", "b"),
    "mounted_filesystem": ({"mount_path": "/a", "mount_alias": "/b"}, "identifier", "i"),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_is_merged(settings, name):
    whole, part, value = SECTIONS[name]
    section = getattr(settings(**{name.upper(): whole, f"{name}__{part}".upper(): value}), name)
    found = section if isinstance(section, dict) else section.model_dump(mode="json")
    assert {key: found[key] for key in whole | {part: value}} == whole | {part: value}


def test_filesystems_are_merged_one_by_one(settings):
    found = settings(
        FILESYSTEMS={"a": {"type": "local", "root": "/a", "directory": "/a/x"}, "B-1": {"root": "/b"}},
        FILESYSTEMS__A__ROOT="/other",
        FILESYSTEMS__C={"root": "/c"},
    ).filesystems
    assert {name: str(section.root) for name, section in found.items() if section.root} == {
        "a": "/other",
        "B-1": "/b",
        "c": "/c",
    }
    assert str(found["a"].directory) == "/a/x"


def test_json_in_a_variable_adds_to_a_file_and_to_arguments(settings, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "results_db: {type: mongodb, host: file, database: file, username: file}\n"
    )
    section = settings(
        {"results_db": {"username": "argument"}},
        CONFIG_FILE=str(tmp_path / "c.yaml"),
        RESULTS_DB={"host": "variable", "username": "variable"},
    ).results_db
    assert (section.database, section.host, section.username) == ("file", "variable", "argument")


def test_a_password_may_look_like_json(settings):
    section = settings(RESULTS_DB__TYPE="mongodb", RESULTS_DB__PASSWORD='{"a": 1}').results_db
    assert section.password.get_secret_value() == '{"a": 1}'


def test_names_of_filesystems_keep_their_case(settings):
    found = settings(
        FILESYSTEMS__Scratch__ROOT="/a", FILESYSTEMS__FAST__ROOT="/b", FILESYSTEMS__slow__ROOT="/c"
    )
    assert list(found.filesystems) == ["local", "Scratch", "fast", "slow"]


def test_names_that_differ_by_capitals_alone_are_an_error(settings, tmp_path):
    (tmp_path / "c.yaml").write_text("filesystems: {Scratch: {root: /a}}\n")
    told = problems(settings, CONFIG_FILE=str(tmp_path / "c.yaml"), FILESYSTEMS__SCRATCH__DIRECTORY="/b")
    (problem,) = told.values()
    assert "'Scratch' and 'scratch' differ by their capitals alone" in str(problem)


def test_a_variable_that_is_set_twice_is_an_error(settings, monkeypatch):
    monkeypatch.setenv("lume_backend", "process")
    told = problems(settings, BACKEND="local")
    assert "set one of the two" in str(
        told["lume_backend"] if "lume_backend" in told else told["LUME_BACKEND"]
    )


def test_options_by_single_variables_would_lose_their_case(settings):
    told = problems(settings, RESULTS_DB__TYPE="mongodb", RESULTS_DB__OPTIONS__AUTHSOURCE="admin")
    assert told["LUME_RESULTS_DB__OPTIONS__AUTHSOURCE"].remedy == "Give LUME_RESULTS_DB__OPTIONS as JSON."


def test_where_a_setting_in_json_comes_from(settings, capsys):
    settings(RESULTS_DB={"type": "mongodb", "host": "db"}, RESULTS_DB__PORT="2")
    from typer.testing import CliRunner

    from lume_services.cli.app import app

    rows = json.loads(CliRunner().invoke(app, ["config", "show", "--json"]).stdout)
    sources = {row["setting"]: row["source"] for row in rows}
    assert sources["results_db.host"] == "LUME_RESULTS_DB: host"
    assert sources["results_db.port"] == "LUME_RESULTS_DB__PORT"
    assert sources["results_db.database"] == "default"
    assert shown_values(build_context().settings())["results_db", "port"] == 2
    assert read_sources()["environment"]["results_db"]["host"] == "db"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[" * 3000, "not valid JSON: the file is nested more than 50 levels deep."),
        ('{"host": "a", "host": "b"}', "not valid JSON: the key 'host' is already on line 1."),
        ("{", "not valid JSON"),
        ("nonsense", "not valid JSON"),
        ("9" * 5000, "not valid JSON"),
    ],
)
@pytest.mark.parametrize(
    "name", ["RESULTS_DB", "FILESYSTEMS", "WORKER", "RUN_CONFIG", "PREFECT", "SERIALIZERS"]
)
def test_a_variable_that_is_no_json(settings, name, value, message):
    told = problems(settings, **{name: value})
    assert str(told[f"LUME_{name}"].message).startswith(message)


def test_the_configuration_file_is_yaml_1_2(settings, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "results_db: {type: mongodb, port: 0777, timeout_seconds: 1e1, username: on, database: 190:20:30}\n"
    )
    section = settings(CONFIG_FILE=str(tmp_path / "c.yaml")).results_db
    assert (section.port, section.timeout_seconds, section.username, section.database) == (
        777,
        10.0,
        "on",
        "190:20:30",
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.yaml", "backend: local\nbackend: process\n", "line 2: the key 'backend' is already on line 1."),
        ("c.yaml", "results_db:\n  port: 1\n  port: 2\n", "line 3: the key 'port' is already on line 2."),
        ("c.yaml", "a: [\n", "line 2: the file is not YAML"),
        ("c.yaml", "1: x\n", "the name 1 is not text."),
        ("c.yaml", "- a\n", "it must be a map of settings."),
        ("c.yaml", "&a [*a]", "nested more than 50 levels deep"),
        ("c.yaml", "home: !!python/name:os.system\n", "is not allowed here"),
        ("c.toml", "backend = 'a'\nbackend = 'b'\n", "line 2: the file is not TOML"),
        ("c.toml", "a = " + "[" * 3000, "nested too deep"),
        ("c.yaml", b"backend: \xff\n", "line 1: the file is not UTF-8 text."),
        ("c.yaml", "a" * 1_000_001, "has at most 1000000"),
    ],
)
def test_what_is_wrong_with_the_configuration_file(settings, tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert message in str(problems(settings, CONFIG_FILE=str(path))[str(path)])


def test_a_mark_of_utf_8_at_the_beginning_is_left_out(settings, tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfbackend: process\n")
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfLUME_WORKER__LIMIT=3\n")
    found = settings(CONFIG_FILE=str(tmp_path / "c.yaml"))
    assert (found.backend, found.worker.limit) == ("process", 3)


@pytest.mark.parametrize("value", [3, "a\0b", "~nobody-at-all/x", "\ud800", None, ["a"], {"a": 1}])
def test_a_home_that_is_no_path(value):
    with pytest.raises(ConfigurationError, match="home"):
        build_context({"home": value})


@pytest.mark.parametrize("value", ["~nobody-at-all/c.yaml", 3, ["c.yaml"], "a\0.yaml", "c.yaml/x.yaml"])
def test_a_configuration_file_that_is_no_path(value):
    with pytest.raises(ConfigurationError):
        build_context({"config_file": value})


@pytest.mark.parametrize(
    "name", [".a:b", "a..b:c", ":b", "a:", "a:b:c", "a b:c", "a:b.", "1a:b", "json:loads", "json:JSONEncoder"]
)
@pytest.mark.parametrize("section", ["backend", "results_db", "filesystems", "serializers"])
def test_a_class_that_cannot_be_had_is_an_error_of_ours(name, section):
    from lume_services.errors import LUMEServicesError

    given = {
        "backend": name,
        "results_db": {"type": name},
        "filesystems": {"x": {"type": name}},
        "serializers": [name],
    }[section]
    if section == "serializers" and name.startswith("json:"):
        return  # it is one when a file names it
    with pytest.raises(LUMEServicesError):
        build_context({section: given})


def test_odd_keys_in_arguments():
    with pytest.raises(ConfigurationError):
        build_context({1: 2})
    with pytest.raises(ConfigurationError):
        build_context({"results_db": {1: 2, None: 3}})
    with pytest.raises(ConfigurationError):
        build_context({"filesystems": {1: {"root": "/"}}})
