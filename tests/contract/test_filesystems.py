"""The contract of filesystems, the same for each."""

import os
import signal
import subprocess
import sys
import time

import pytest

from lume_services.errors import (
    FilesystemNotConfigured,
    PathNotInFilesystem,
    PathNotInMount,
    SerializationError,
)
from lume_services.files.serializers.text import TextSerializer
from lume_services.services.files import FileService, LocalFilesystem, MountedFilesystem


@pytest.fixture(params=["local", "mounted"])
def filesystem(request, tmp_path):
    if request.param == "local":
        return LocalFilesystem(root=tmp_path / "root")
    return MountedFilesystem(mount_path=tmp_path / "root", mount_alias="/alias")


def test_round_trip(filesystem):
    text = "a\r\nb\n β"
    info = filesystem.write("folder/a.txt", text, TextSerializer())
    assert filesystem.read("folder/a.txt", TextSerializer()) == text
    assert info.size == len(text.encode())
    assert filesystem.info("folder/a.txt") == info


def test_existence_is_told_and_nothing_is_created(filesystem):
    """SVC-1, SVC-2."""
    assert filesystem.file_exists("a.txt") is False
    assert filesystem.dir_exists("folder") is False
    assert filesystem.dir_exists("folder") is False
    filesystem.write("folder/a.txt", "", TextSerializer)
    assert filesystem.file_exists("folder/a.txt") is True
    assert filesystem.dir_exists("folder") is True
    assert filesystem.file_exists("folder") is False


def test_create_dir_twice(filesystem):
    """SVC-9."""
    filesystem.create_dir("a/b")
    filesystem.create_dir("a/b")
    assert filesystem.dir_exists("a/b")


def test_missing_folder_is_created_unless_told_otherwise(filesystem):
    """SVC-11: one default."""
    with pytest.raises(FileNotFoundError, match="folder"):
        filesystem.write("new/a.txt", "x", TextSerializer, create_dir=False)
    assert not filesystem.dir_exists("new")
    filesystem.write("new/a.txt", "x", TextSerializer)
    assert filesystem.read("new/a.txt", TextSerializer) == "x"


def test_missing_file(filesystem):
    with pytest.raises(FileNotFoundError, match=r"a\.txt"):
        filesystem.read("a.txt", TextSerializer)


@pytest.mark.parametrize("path", ["../out.txt", "a/../../out.txt", "/etc/passwd"])
def test_no_path_leaves(filesystem, path):
    """SVC-5, R-11."""
    for operation in (filesystem.resolve, filesystem.file_exists, filesystem.create_dir):
        with pytest.raises(PathNotInFilesystem):
            operation(path)
    with pytest.raises(PathNotInFilesystem):
        filesystem.write(path, "x", TextSerializer)


def test_no_symbolic_link_leads_out(filesystem, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    filesystem.create_dir(".")
    (tmp_path / "root" / "link").symlink_to(outside)
    with pytest.raises(PathNotInFilesystem, match="link"):
        filesystem.write("link/a.txt", "x", TextSerializer)
    assert list(outside.iterdir()) == []


def test_failed_write_leaves_the_old_file_and_no_rest(filesystem, tmp_path):
    """FIL-9."""
    filesystem.write("a.txt", "old", TextSerializer)
    with pytest.raises(SerializationError, match="expected str, got int"):
        filesystem.write("a.txt", 3, TextSerializer)
    assert filesystem.read("a.txt", TextSerializer) == "old"
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["a.txt"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    """A writer is killed at random moments; the file is always one of those written whole."""
    code = (
        "import sys\n"
        "from lume_services.files.serializers.text import TextSerializer\n"
        "from lume_services.services.files import LocalFilesystem\n"
        "fs = LocalFilesystem(directory=__import__('pathlib').Path(sys.argv[1]))\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    fs.write('a.txt', str(n % 10) * 300_000, TextSerializer)\n"
    )
    filesystem = LocalFilesystem(root=tmp_path)
    for attempt in range(5):
        writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
        while not (tmp_path / "a.txt").exists():
            time.sleep(0.01)
        time.sleep(0.02 * attempt)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        text = filesystem.read("a.txt", TextSerializer)
        assert len(text) == 300_000
        assert len(set(text)) == 1


def test_what_a_killed_writer_left_is_removed_by_a_write_of_that_file_a_day_later(tmp_path):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from lume_services.services.files.atomic import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    for name in ("a.txt", "b.txt"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    filesystem = LocalFilesystem(root=tmp_path)
    filesystem.write("a.txt", "new", TextSerializer)
    assert len(list(tmp_path.iterdir())) == 3  # they may still be written
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    filesystem.write("a.txt", "newer", TextSerializer)
    assert len(list(tmp_path.iterdir())) == 2
    filesystem.write("b.txt", "new", TextSerializer)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]


class TestMounted:
    @pytest.fixture
    def mounted(self, tmp_path):
        return MountedFilesystem(mount_path=tmp_path / "data", mount_alias="/alias/data")

    def test_both_names_on_the_host(self, mounted, tmp_path):
        """SVC-7."""
        mounted.write("/alias/data/a.txt", "text", TextSerializer())
        assert mounted.read(tmp_path / "data/a.txt", TextSerializer()) == "text"
        assert mounted.read("a.txt", TextSerializer()) == "text"

    def test_both_names_in_the_container(self, tmp_path):
        (tmp_path / "inside").mkdir()
        mounted = MountedFilesystem(mount_path="/not/here/data", mount_alias=tmp_path / "inside")
        mounted.write("/not/here/data/a.txt", "text", TextSerializer())
        assert (tmp_path / "inside/a.txt").read_text() == "text"

    def test_names_are_compared_by_components(self, mounted, tmp_path):
        """SVC-5: '/database' is not in '/data'."""
        for path in (f"{tmp_path}/database/y", "/alias/database/y", "/alias"):
            with pytest.raises(PathNotInMount, match="neither"):
                mounted.resolve(path)

    def test_mount_type(self, tmp_path):
        """SVC-4: Directory must exist, DirectoryOrCreate is created at the first write."""
        missing = MountedFilesystem(mount_path=tmp_path / "no", mount_alias="/no", mount_type="Directory")
        with pytest.raises(FileNotFoundError, match="DirectoryOrCreate"):
            missing.write("a.txt", "x", TextSerializer)
        assert not (tmp_path / "no").exists()
        created = MountedFilesystem(mount_path=tmp_path / "yes", mount_alias="/yes")
        created.write("a.txt", "x", TextSerializer)
        assert (tmp_path / "yes/a.txt").exists()

    def test_home_is_expanded(self, monkeypatch, tmp_path):
        """SVC-12."""
        monkeypatch.setenv("HOME", str(tmp_path))
        assert MountedFilesystem(mount_path="~/data", mount_alias="/d").mount_path == tmp_path / "data"

    def test_nothing_is_printed(self, mounted, capsys):
        """SVC-6."""
        mounted.write("a.txt", "x", TextSerializer)
        mounted.read("a.txt", TextSerializer)
        assert capsys.readouterr() == ("", "")


class TestLocal:
    def test_absolute_paths_are_free_without_a_root(self, tmp_path):
        filesystem = LocalFilesystem(directory=tmp_path / "files")
        filesystem.write(tmp_path / "elsewhere.txt", "x", TextSerializer)
        filesystem.write("a.txt", "y", TextSerializer)
        assert (tmp_path / "elsewhere.txt").read_text() == "x"
        assert (tmp_path / "files/a.txt").read_text() == "y"


class TestService:
    def test_every_verb_by_identifier(self, tmp_path):
        local = LocalFilesystem(root=tmp_path)
        mounted = MountedFilesystem(mount_path=tmp_path / "m", mount_alias="/m")
        service = FileService(lambda: {"local": local, "mounted": mounted})
        service.create_dir("local", "folder")
        assert service.dir_exists("local", "folder")
        info = service.write("mounted", "a.txt", "text", TextSerializer)
        assert service.file_exists("local", "m/a.txt")
        assert service.info("local", "m/a.txt") == info
        assert service.read("mounted", "/m/a.txt", TextSerializer) == "text"
        assert service.resolve("mounted", "a.txt") == tmp_path / "m/a.txt"
        assert service.get_mounted_filesystems() == {"mounted": mounted}

    def test_unknown_identifier(self):
        """SVC-3."""
        service = FileService(lambda: {"local": LocalFilesystem()})
        with pytest.raises(FilesystemNotConfigured) as caught:
            service.file_exists("loca", "a")
        assert caught.value.identifier == "loca"
        assert "Did you mean 'local'?" in str(caught.value)
