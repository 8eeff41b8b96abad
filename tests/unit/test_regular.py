"""Files that somebody names: only regular ones are opened, and what cannot be a path is an error of ours."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lume_services.cli.app import app
from lume_services.config import build_context
from lume_services.errors import ConfigurationError, LUMEServicesError, PathNotInFilesystem, SpecError
from lume_services.files import TextFile, load_reference
from lume_services.flows import load_spec
from lume_services.flows.scans.axes import read_axes
from lume_services.services.files import LocalFilesystem, MountedFilesystem
from lume_services.values.regular import UnreadableFileError, expanded, read_text


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Paths that are no files, by what they are."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    Path("to_pipe").symlink_to("pipe")
    Path("folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        yield {
            "pipe": "pipe",
            "device": "/dev/zero",
            "folder": "folder",
            "loop": "loop",
            "link": "to_pipe",
            "socket": "socket",
            "missing": "missing",
            "nobody": "~nobody-at-all/x",
            "nul": "a\0b",
            "long": "x" * 5000,
            "below a file": f"{__file__}/x",
            "lone surrogate": "\ud800",
        }


KINDS = [
    "pipe",
    "device",
    "folder",
    "loop",
    "link",
    "socket",
    "missing",
    "nobody",
    "nul",
    "long",
    "below a file",
]
KINDS.append("lone surrogate")


@pytest.mark.parametrize("kind", KINDS)
def test_text(places, kind):
    with pytest.raises(UnreadableFileError, match="the file cannot be read: "):
        read_text(places[kind], what="file")


@pytest.mark.parametrize("kind", KINDS)
def test_a_spec(places, kind):
    with pytest.raises(SpecError, match="the spec cannot be read: "):
        load_spec(places[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_points_of_a_scan(places, kind):
    with pytest.raises(SpecError, match="cannot be read: "):
        read_axes({"a.b": f"@{places[kind]}"})


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"nul", "lone surrogate"}))  # no argument is one
@pytest.mark.parametrize("option", ["--params", "SPEC"])
def test_values_for_a_run(places, lume_context, kind, option):
    Path("spec.yaml").write_text("name: a\ncomposing_flows: [{name: b, entrypoint: json:loads}]\n")
    arguments = ["spec.yaml", "--params", places[kind]] if option == "--params" else [places[kind]]
    shown = CliRunner().invoke(app, ["validate", *arguments])
    assert shown.exit_code == 2
    assert shown.stderr.startswith("Error: ")
    assert "cannot be read: " in shown.stderr
    assert "unexpected" not in shown.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_the_configuration_file(places, kind, monkeypatch, lume_context):
    if kind in ("pipe", "folder", "loop", "socket"):
        os.rename(places[kind], "c.yaml")
        places[kind] = "c.yaml"
    with pytest.raises(ConfigurationError):
        build_context({"config_file": places[kind]})


@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "link", "socket"])
def test_the_file_of_variables(places, kind, lume_context):
    Path(".env").symlink_to(places[kind])
    with pytest.raises(ConfigurationError, match=r"- .env: cannot be read: "):
        build_context()


def test_a_folder_of_this_name_is_no_file_of_variables(places, lume_context):
    Path(".env").mkdir()
    assert build_context().settings().backend == "local"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("filesystem", ["free", "root", "mounted"])
def test_a_file_that_a_reference_names(places, tmp_path, kind, filesystem):
    made = {
        "free": lambda: LocalFilesystem(identifier="free", directory=tmp_path),
        "root": lambda: LocalFilesystem(identifier="root", root=tmp_path),
        "mounted": lambda: MountedFilesystem(mount_path=tmp_path, mount_alias="/alias"),
    }[filesystem]()
    from lume_services.files.serializers.text import TextSerializer
    from lume_services.services.files import FileService

    service = FileService(lambda: {"x": made})
    reference = {
        "filename": places[kind],
        "filesystem_identifier": "x",
        "file_type_string": TextFile(filename="a").file_type_string,
        "checksum": "0" * 64,
    }
    for use in (
        lambda: load_reference(reference).read(file_service=service),
        lambda: load_reference(reference).verify(file_service=service),
        lambda: made.info(places[kind]),
        lambda: made.read(places[kind], TextSerializer),
    ):
        with pytest.raises((LUMEServicesError, FileNotFoundError)):
            use()


def test_a_name_with_a_tilde_is_one_on_a_mounted_filesystem(tmp_path):
    mounted = MountedFilesystem(mount_path=tmp_path, mount_alias="/alias")
    assert mounted.resolve("~nobody-at-all") == tmp_path / "~nobody-at-all"
    with pytest.raises(PathNotInFilesystem, match="there is no home for '~nobody-at-all'"):
        LocalFilesystem(directory=tmp_path).resolve("~nobody-at-all")


def test_a_file_without_an_end_is_not_read_whole(tmp_path):
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(UnreadableFileError, match="has 1000000000000 bytes; a spec has at most 1000000"):
        read_text(large, what="spec")


def test_other_encodings(tmp_path):
    path = tmp_path / "file"
    path.write_bytes("ü".encode("utf-8-sig"))
    assert read_text(path, what="file") == "ü"
    for content in ("ü".encode("latin-1"), "ü".encode("utf-16")):
        path.write_bytes(b"a\n" + content)
        with pytest.raises(
            UnreadableFileError, match="file:2: the file is not UTF-8 text. Save it as UTF-8."
        ):
            read_text(path, what="file")


def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "file"
    path.touch(0o000)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything; run the tests as another one")
    with pytest.raises(UnreadableFileError, match="Permission denied"):
        read_text(path, what="file")


def test_a_home():
    assert expanded("~") == Path.home()
    for wrong in (3, None, b"a", ["a"]):
        with pytest.raises(ValueError, match="a path "):
            expanded(wrong)


def test_no_command_waits_for_a_pipe(places):
    """The whole program, as a user calls it."""
    for arguments in (
        ["graph", "pipe"],
        ["validate", "/dev/zero"],
        ["run", "missing.yaml", "--params", "pipe"],
        ["results", "import", "pipe", "--format", "json"],
        ["results", "copy", "--from", "to_pipe.yaml"],
    ):
        Path("to_pipe.yaml").unlink(missing_ok=True)
        Path("to_pipe.yaml").symlink_to("pipe")
        done = subprocess.run(
            [sys.executable, "-m", "lume_services", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "LUME_HOME": str(Path("home").absolute())},
        )
        assert done.returncode in (1, 2), arguments
        assert done.stderr.startswith("Error: "), (arguments, done.stderr)
