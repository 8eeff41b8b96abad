"""Who may look into what we make: LUME_HOME in a user's own folder, and a store that a group shares."""

import os
import shutil
import stat
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lume_services.config import build_context, close_context, use_context
from lume_services.files import TextFile
from lume_services.results import Result
from lume_services.tasks import save_file

GROUP = 54_321
ALICE, BOB, EVE = 54_322, 54_323, 54_324


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    """Set the umask of a group's members for the test."""
    before = os.umask(0o002)
    yield
    os.umask(before)


def use(home: Path, kind: str) -> None:
    """Write a result and a file under a LUME_HOME."""
    context = build_context({"home": str(home), "results_db": {"type": kind}})
    with use_context(context):
        Result(project_name="p", outputs={"image": np.arange(20_000.0)}).insert()
        save_file.fn("text", filename="notes/text.txt", file_type=TextFile)
    close_context(context)


@pytest.mark.parametrize("kind", ["file", "hdf5"])
def test_a_home_in_the_own_folder_of_a_user_is_for_the_user_alone(
    lume_context, tmp_path, monkeypatch, umask, kind
):
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    home = tmp_path / "user" / "data" / "lume"
    use(home, kind)
    assert mode(home) == 0o700
    assert mode(home.parent) == 0o775  # only what is ours
    shared = tmp_path / "shared" / "lume"
    use(shared, kind)
    assert mode(shared) == 0o775
    assert mode(shared / "results") == 0o775


def test_a_file_alone_makes_it_likewise(lume_context, tmp_path, monkeypatch, umask):
    monkeypatch.setenv("HOME", str(tmp_path))
    context = build_context({"home": str(tmp_path / "lume")})
    assert not (tmp_path / "lume").exists()
    with use_context(context):
        save_file.fn("text", filename="text.txt", file_type=TextFile)
    assert mode(tmp_path / "lume") == 0o700


def test_a_home_that_is_there_stays_as_it_is(lume_context, tmp_path, monkeypatch, umask):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "lume").mkdir(0o770)
    use(tmp_path / "lume", "file")
    assert mode(tmp_path / "lume") == 0o770


def as_user(user: int, action: Callable[[], object], groups: tuple[int, ...] = (GROUP,)) -> None:
    """Do something as another user, in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told = "it ended early"
        try:
            os.setgroups(groups)
            os.setgid(groups[0])
            os.setuid(user)
            os.umask(0o002)
            action()
            told = ""
        except BaseException:
            told = traceback.format_exc()
        finally:
            os.write(writing, told.encode()[:60_000])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        told = stream.read()
    os.waitpid(child, 0)
    assert told == "", told


@pytest.fixture
def folder(lume_context):
    """A folder of a group, as an administrator makes it."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as two users; run the tests as root, as in a container")
    made = Path(tempfile.mkdtemp())
    os.chown(made, 0, GROUP)
    made.chmod(0o2770)
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("kind", ["file", "hdf5"])
def test_two_users_of_a_group_write_one_store(folder, kind):
    home = folder / "lume"
    settings = {"home": str(home), "results_db": {"type": kind}}
    use(Path(tempfile.mkdtemp(dir=folder)), kind)  # imports all: others may not read this installation

    def write(number: float) -> None:
        context = build_context(settings)
        with use_context(context):
            for part in range(3):
                image = np.full(20_000, 10 * number + part)
                Result(
                    project_name="p", inputs={"n": number}, outputs={"image": image, "shared": np.ones(9999)}
                ).insert()
            save_file.fn(f"{number}", filename="text.txt", file_type=TextFile)
        close_context(context)

    def change() -> None:
        context = build_context(settings)
        service = context.results_db_service()
        found = list(service.find(collection="p", sort="inputs.n"))
        assert [record["inputs"]["n"] for record in found] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
        assert float(found[-1]["outputs"]["image"][5]) == 32.0
        assert service.delete(collection="p", query={"inputs.n": 1}) == 3
        assert not service.reindex().damaged
        assert service.count(collection="p") == 6
        close_context(context)

    def look() -> None:
        with pytest.raises(PermissionError):
            list(home.iterdir())

    as_user(ALICE, lambda: write(1))
    as_user(BOB, lambda: write(2))
    as_user(ALICE, lambda: write(3))
    as_user(BOB, change)
    as_user(EVE, look, groups=(EVE,))
    assert (home / "files" / "text.txt").read_text() == "3"
    for path in [home, *home.rglob("*")]:
        assert path.stat().st_gid == GROUP, path
        assert mode(path) & 0o060 == 0o060, (path, oct(mode(path)))
