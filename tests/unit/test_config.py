"""Settings: sources, order, sections, and messages that teach."""

import os
import pickle
import subprocess
import sys
import warnings

import pytest
from dependency_injector.wiring import Provide, inject
from prefect import flow

import lume_services
from lume_services.config import (
    Context,
    LUMEServicesSettings,
    build_context,
    configure,
    current_context,
    get_env_vars,
    unconfigure,
    use_context,
)
from lume_services.config.environment import job_environment
from lume_services.config.retired import RetiredSettingWarning
from lume_services.errors import (
    ConfigurationError,
    FilesystemNotConfigured,
    PluginError,
    RunConfigError,
)
from lume_services.services.files import LocalFilesystem, MountedFilesystem


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    """No variable, no .env and no earlier container has an influence."""
    for name in [name for name in os.environ if name.startswith("LUME_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LUME_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    unconfigure()
    yield
    unconfigure()


def problems(**env):
    with pytest.raises(ConfigurationError) as caught:
        build_context()
    return {problem.where: problem for problem in caught.value.problems}


def test_nothing_set_works():
    """CFG-1: the predecessor could not configure even a local backend from an empty environment."""
    settings = configure().settings()
    assert settings.backend == "local"
    assert settings.results_db.type == "file"
    assert list(settings.filesystems) == ["local"]


def test_sources_in_order(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(
        "results_db: {host: from-file, port: 1, username: from-file, database: from-file}\n"
    )
    (tmp_path / ".env").write_text(
        "LUME_RESULTS_DB__PORT=2\nLUME_RESULTS_DB__USERNAME=from-dotenv\nOTHER_PROGRAM=1\n"
    )
    monkeypatch.setenv("LUME_CONFIG_FILE", str(tmp_path / "config.yaml"))
    monkeypatch.setenv("LUME_RESULTS_DB__USERNAME", "from-env")
    section = build_context({"results_db": {"host": "from-argument"}}).settings().results_db
    assert (section.host, section.username, section.port, section.database) == (
        "from-argument",
        "from-env",
        2,
        "from-file",
    )


def test_toml_file(tmp_path, monkeypatch):
    (tmp_path / "config.toml").write_text('[filesystems.scratch]\nroot = "/tmp"\n')
    monkeypatch.setenv("LUME_CONFIG_FILE", str(tmp_path / "config.toml"))
    assert str(build_context().settings().filesystems["scratch"].root) == "/tmp"


def test_names_of_the_predecessor_keep_working(monkeypatch):
    """CFG-14 too: options come as JSON from the environment."""
    for name, value in {
        "LUME_BACKEND": "local",
        "LUME_RESULTS_DB__HOST": "db",
        "LUME_RESULTS_DB__PORT": "27018",
        "LUME_RESULTS_DB__USERNAME": "user",
        "LUME_RESULTS_DB__PASSWORD": "secret",
        "LUME_RESULTS_DB__DATABASE": "results",
        "LUME_RESULTS_DB__OPTIONS": '{"tls": true}',
        "LUME_MOUNTED_FILESYSTEM__IDENTIFIER": "data",
        "LUME_MOUNTED_FILESYSTEM__MOUNT_PATH": "/host",
        "LUME_MOUNTED_FILESYSTEM__MOUNT_ALIAS": "/data",
        "LUME_MOUNTED_FILESYSTEM__MOUNT_TYPE": "Directory",
        "LUME_PREFECT__SERVER__HOST": "http://prefect",
        "LUME_PREFECT__SERVER__HOST_PORT": "4201",
    }.items():
        monkeypatch.setenv(name, value)
    context = build_context()
    section = context.settings().results_db
    assert section.type == "mongodb"
    assert (section.host, section.port, section.options) == ("db", 27018, {"tls": True})
    mounted = context.filesystems()["data"]
    assert isinstance(mounted, MountedFilesystem)
    assert mounted.mount_type == "Directory"
    assert context.settings().prefect.api_url == "http://prefect:4201/api"


def test_hdf5_from_the_environment(monkeypatch, tmp_path):
    for name, value in {
        "LUME_HOME": str(tmp_path),
        "LUME_RESULTS_DB__TYPE": "hdf5",
        "LUME_RESULTS_DB__COMPRESSION": "gzip",
        "LUME_RESULTS_DB__SHUFFLE": "true",
    }.items():
        monkeypatch.setenv(name, value)
    store = build_context().results_db()
    assert repr(store) == f"Hdf5ResultsDB('{tmp_path / 'results'}')"
    with pytest.raises(ConfigurationError, match="compression"):
        build_context({"results_db": {"type": "hdf5", "compression": "zip"}})


def test_retired_settings_warn_and_do_nothing(monkeypatch):
    monkeypatch.setenv("LUME_MODEL_DB__HOST", "mysql")
    monkeypatch.setenv("LUME_PREFECT__TELEMETRY__ENABLED", "false")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build_context()
    assert {warning.category for warning in caught} == {RetiredSettingWarning}
    text = " ".join(str(warning.message) for warning in caught)
    assert "LUME_MODEL_DB__HOST" in text
    assert "LUME_PREFECT__TELEMETRY" in text


def test_all_problems_at_once_with_place_and_remedy(monkeypatch):
    """CFG-11: a bad backend is refused before any side effect."""
    monkeypatch.setenv("LUME_BACKEND", "locl")
    monkeypatch.setenv("LUME_RESULTS_DB__HOTS", "x")
    monkeypatch.setenv("LUME_RESULTS_DB__PORT", "99999")
    monkeypatch.setenv("LUME_CONFIG_FILE", "/not/there.yaml")
    monkeypatch.setenv("LUME_FILESYTEMS__A__ROOT", "/tmp")
    monkeypatch.setenv("LUME_SERIALIZERS", "{bad")
    monkeypatch.setenv("LUME_RUN_CONFIG__ENV__OMP_NUM_THREADS", "1")
    found = problems()
    assert found.keys() == {
        "LUME_BACKEND",
        "LUME_RESULTS_DB__HOTS",
        "LUME_RESULTS_DB__PORT",
        "/not/there.yaml",
        "LUME_FILESYTEMS__A__ROOT",
        "LUME_SERIALIZERS",
        "LUME_RUN_CONFIG__ENV__OMP_NUM_THREADS",
    }
    assert "Did you mean 'local'?" in str(found["LUME_BACKEND"])
    assert "Did you mean 'host'?" in str(found["LUME_RESULTS_DB__HOTS"])
    assert "99999" in str(found["LUME_RESULTS_DB__PORT"])
    assert "LUME_FILESYSTEMS__A__ROOT" in str(found["LUME_FILESYTEMS__A__ROOT"])
    assert "JSON" in str(found["LUME_SERIALIZERS"])


def test_run_config_from_variables(monkeypatch):
    @flow
    def threads():
        return os.environ["OMP_NUM_THREADS"]

    monkeypatch.setenv("LUME_RUN_CONFIG__LABELS", '["night"]')
    monkeypatch.setenv("LUME_RUN_CONFIG__ENV", '{"OMP_NUM_THREADS": "1"}')
    context = build_context()
    assert context.settings().run_config == {"labels": ["night"], "env": {"OMP_NUM_THREADS": "1"}}
    handle = context.scheduling_service().run(flow=threads)
    assert (handle.result(), handle.tags) == ("1", {"night"})
    monkeypatch.setenv("LUME_RUN_CONFIG__IMAGE", "flows:1")
    with pytest.raises(RunConfigError, match="LUME_RUN_CONFIG is not valid(.|\\n)*image: no such field"):
        build_context().scheduling_backend()


def test_a_job_gets_the_settings_wherever_they_were_read(monkeypatch, tmp_path):
    (tmp_path / "lume.yaml").write_text(
        "filesystems: {Scratch: {root: /scratch}}\nresults_db: {database: lab}"
    )
    (tmp_path / ".env").write_text(
        "LUME_RESULTS_DB__PASSWORD=s3cret\nLUME_PREFECT__API_URL=http://localhost/api"
    )
    monkeypatch.setenv("LUME_CONFIG_FILE", str(tmp_path / "lume.yaml"))
    monkeypatch.setenv("LUME_RESULTS_DB__HOST", "db.lab")
    monkeypatch.setenv("LUME_RUN_CONFIG", '{"labels": ["night"]}')
    monkeypatch.setenv("LUME_WORKER__LIMIT", "2")
    monkeypatch.setenv("LUME_MODELS", "of another program")
    settings = build_context().settings()
    variables = job_environment(settings, os.environ)
    assert variables["LUME_MODELS"] == "of another program"
    assert variables["LUME_RESULTS_DB__PASSWORD"] == "s3cret"
    assert not [name for name in variables if "API" in name or "WORKER" in name or "CONFIG_FILE" in name]
    for name in [name for name in os.environ if name.startswith("LUME_")]:
        monkeypatch.delenv(name)
    (tmp_path / ".env").unlink()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    there = build_context().settings()
    for section in ("home", "backend", "results_db", "filesystems", "run_config"):
        assert getattr(there, section) == getattr(settings, section)


def test_variables_of_other_programs_are_left_alone(monkeypatch):
    monkeypatch.setenv("LUME_MODELS", "pkg:factory")
    assert build_context().settings().backend == "local"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.yaml", "backend: [", "parsed"),
        ("config.ini", "", "ending"),
        ("config.toml", "x = ", "parsed"),
    ],
)
def test_bad_config_file(tmp_path, monkeypatch, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    monkeypatch.setenv("LUME_CONFIG_FILE", str(path))
    assert message in str(problems()[str(path)])


def test_place_of_a_problem_in_a_file(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text("results_db: {type: mongodb, port: none}\n")
    monkeypatch.setenv("LUME_CONFIG_FILE", str(path))
    assert f"{path}: results_db.port" in problems()


def test_secrets_are_shown_nowhere():
    """CFG-5: the predecessor's error carried the whole environment."""
    context = build_context(
        {"results_db": {"type": "mongodb", "password": "s3cret", "uri": "mongodb://u:s3cret@h"}}
    )
    assert "s3cret" not in repr(context.settings())
    with pytest.raises(ConfigurationError) as caught:
        build_context({"results_db": {"type": "mongodb", "password": ["s3cret"], "port": 0}})
    assert "s3cret" not in str(caught.value) + repr(caught.value.__dict__)
    assert len(caught.value.problems) == 2


def test_settings_survive_a_copy():
    """CFG-16: the predecessor's copy lost the password."""
    section = build_context({"results_db": {"type": "mongodb", "password": "s3cret"}}).settings().results_db
    assert section.model_copy().password.get_secret_value() == "s3cret"


def test_database_has_a_default_and_is_never_empty():
    """CFG-15."""
    assert build_context({"results_db": {"type": "mongodb"}}).settings().results_db.database
    with pytest.raises(ConfigurationError):
        build_context({"results_db": {"type": "mongodb", "database": ""}})


def test_errors_survive_pickling():
    """CFG-6, CFG-7: messages are formatted, and errors can be unpickled."""
    with pytest.raises(ConfigurationError) as caught:
        build_context({"backend": "nope"})
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert copy.problems == caught.value.problems
    assert "%s" not in str(copy)


def test_an_unknown_filesystem_says_which_there_are():
    """CFG-12, SVC-3."""
    with pytest.raises(FilesystemNotConfigured, match="Did you mean 'local'"):
        build_context().file_service().read("locl", "x", object)


def test_override_is_seen_by_services_already_built(tmp_path):
    context = build_context()
    service = context.file_service()
    fake = {"fake": LocalFilesystem(identifier="fake", root=tmp_path)}
    with context.filesystems.override(fake):
        assert service.filesystem("fake").identifier == "fake"
        with pytest.raises(FilesystemNotConfigured):
            service.filesystem("local")
    assert service.filesystem("local").identifier == "local"


def test_unconfigured_process_configures_itself_once(monkeypatch):
    """CFG-13: the predecessor leaked an injection marker."""
    assert current_context() is current_context()
    monkeypatch.setenv("LUME_BACKEND", "nope")
    assert current_context().settings().backend == "local"


def test_use_context_is_scoped_to_block_and_thread(tmp_path):
    import contextvars
    from concurrent.futures import ThreadPoolExecutor

    outer, inner = configure(), build_context({"home": tmp_path / "inner"})
    with use_context(inner), ThreadPoolExecutor(1) as pool:
        assert current_context() is inner
        assert pool.submit(current_context).result() is outer
        assert pool.submit(contextvars.copy_context().run, current_context).result() is inner
    assert current_context() is outer


@inject
def uses_the_service(service=Provide[Context.file_service]):
    return service


def test_wiring_of_a_users_module():
    context = configure(wire=[sys.modules[__name__]])
    try:
        assert uses_the_service() is context.file_service()
    finally:
        context.unwire()


class ScratchFilesystem(LocalFilesystem):
    """A plug-in, named in a test by module:Class."""


def test_identifiers_are_unique():
    """SVC-10: the predecessor silently kept one of two."""
    mounted = {"mount_path": "/a", "mount_alias": "/b"}
    with pytest.raises(ConfigurationError, match="both define 'data'"):
        build_context(
            {"filesystems": {"data": mounted}, "mounted_filesystem": {**mounted, "identifier": "data"}}
        )


def test_mount_types_are_checked():
    """SVC-8."""
    section = {"mount_path": "/a", "mount_alias": "/b", "mount_type": "File"}
    with pytest.raises(ConfigurationError, match="Choose one of: Directory, DirectoryOrCreate"):
        build_context({"mounted_filesystem": section})


def test_plugin_by_class_and_its_mistakes(tmp_path, monkeypatch):
    (tmp_path / "my_plugin.py").write_text(
        "from lume_services.services.files import LocalFilesystem\n"
        "class Scratch(LocalFilesystem): pass\nclass Other: pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    section = {"type": "my_plugin:Scratch", "options": {"root": str(tmp_path)}}
    filesystem = build_context({"filesystems": {"mine": section}}).filesystems()["mine"]
    assert type(filesystem).__name__ == "Scratch"
    assert filesystem.identifier == "mine"
    for name, message in {
        "my_plugin:Scratc": "Did you mean 'Scratch'",
        "my_plugin:Other": "not a subclass of lume_services",
        "not_a_module:X": "cannot import 'not_a_module'",
    }.items():
        with pytest.raises(PluginError, match=message):
            build_context({"filesystems": {"mine": {"type": name}}})


def test_get_env_vars_names_every_section():
    found = get_env_vars()
    assert found["backend"] == ["LUME_BACKEND"]
    assert "LUME_RESULTS_DB__HOST" in found["results_db"]
    assert found.keys() == LUMEServicesSettings.model_fields.keys()


def test_nothing_heavy_is_imported():
    code = (
        "import sys, lume_services; lume_services.configure({'home': 'x'});"
        "print([m for m in ('prefect','pymongo','h5py','pandas','numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_can_be_had():
    assert lume_services.configure is configure
    with pytest.raises(AttributeError, match="nonsense"):
        lume_services.nonsense  # noqa: B018


def test_configuring_touches_nothing_outside_home(tmp_path):
    """CFG-2: the predecessor wrote into the user's Prefect folder. Nothing is written before it is used."""
    configure()
    assert list(tmp_path.iterdir()) == []
