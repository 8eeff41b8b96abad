"""Modules count as they were loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module, reload
from pathlib import Path

import pytest
from code_modules import ENTRYPOINT, step

from lume_services.flows.code.read import code_of


def test_a_module_counts_as_it_was_loaded(modules):
    """The old code runs on in this process; another one, which loads the new code, has to see that."""
    found = modules(step("return GAIN", before="from tools import GAIN", **{"tools.py": "GAIN = 1\n"}))
    loaded = found.flow()
    before = code_of(loaded, ENTRYPOINT)
    found.edit("tools.py", "1", "2")
    assert code_of(loaded, ENTRYPOINT) == before
    assert before.problem is None
    assert found.code().differences(before) == ["module 'tools'"]


def test_a_module_that_was_edited_before_it_was_looked_at_is_not_certain(modules):
    found = modules(step("return GAIN", before="from tools import GAIN", **{"tools.py": "GAIN = 1\n"}))
    loaded = found.flow()
    found.edit("tools.py", "1", "2")
    assert f"{found.folder / 'tools.py'} may have changed" in str(code_of(loaded, ENTRYPOINT).problem)


@pytest.mark.parametrize(
    "how", [reload, lambda module: sys.modules.pop(module.__name__) and import_module("tools")]
)
def test_who_imports_a_module_that_is_loaded_again_may_have_the_former_one(modules, how):
    found = modules(step("return GAIN", before="from tools import GAIN", **{"tools.py": "GAIN = 1\n"}))
    loaded = found.flow()
    found.edit("tools.py", "1", "2")
    how(sys.modules["tools"])
    assert loaded.fn() == 1
    problem = "module 'tools' was loaded again after 'step', which may still use the former one"
    assert code_of(loaded, ENTRYPOINT).problem == problem
    reload(sys.modules["step"])
    assert code_of(sys.modules["step"].step, ENTRYPOINT).problem is None


def test_what_another_process_runs_is_what_the_files_say_now(modules):
    found = modules(step("return GAIN", before="from tools import GAIN", **{"tools.py": "GAIN = 1\n"}))
    loaded = found.flow()
    before = code_of(loaded, ENTRYPOINT, elsewhere=True)
    found.edit("tools.py", "1", "1  # tesla")
    assert code_of(loaded, ENTRYPOINT, elsewhere=True) == before
    found.edit("tools.py", "1", "2")
    assert code_of(loaded, ENTRYPOINT, elsewhere=True).differences(before) == ["module 'tools'"]
    assert code_of(loaded, ENTRYPOINT, elsewhere=True) == found.code()


def test_bytecode_of_an_edit_within_the_same_second_is_not_loaded(modules, monkeypatch):
    """Python compares the full second and the size: it would load the old code, under the name of the new."""
    found = modules(step("return GAIN", before="from tools import GAIN", **{"tools.py": "GAIN = 1\n"}))
    tools = found.folder / "tools.py"
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    os.utime(tools, (1e9, 1e9))
    assert found.flow().fn() == 1
    assert list(found.folder.glob("__pycache__/tools.*"))
    found.edit("tools.py", "1", "2")
    os.utime(tools, (1e9, 1e9))
    assert found.flow().fn() == 2


def test_modules_are_imported_whatever_the_path_and_the_folder_are(modules, tmp_path, monkeypatch):
    found = modules(step("return 1"))
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "path", [None, b"bytes", Path("path"), "", *sys.path])
    assert found.flow().fn() == 1


def test_modules_may_have_been_loaded_or_not(modules):
    found = modules(step("import tools", "return tools.GAIN", **{"tools.py": "GAIN = 1\n"}))
    before = found.code()
    assert "tools" not in sys.modules
    import_module("tools")
    assert code_of(sys.modules["step"].step, ENTRYPOINT) == before


def test_what_changes_as_the_flow_runs_is_no_code(modules):
    found = modules(step("K.append(1)", "return K", before="K = []"))
    before = found.code()
    loaded = sys.modules["step"].step
    loaded.fn()
    assert code_of(loaded, ENTRYPOINT) == before


@pytest.mark.parametrize("seed", ["1", "2"])
def test_it_is_the_same_in_another_process(modules, seed):
    found = modules(step("return {'a', 'b'}", before="import tools", **{"tools.py": "GAIN = {'a', 'b'}\n"}))
    program = (
        "import lume_services\nfrom step import step\nfrom lume_services.flows.code.read import code_of\n"
        f"print(code_of(step, {ENTRYPOINT!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program],
        env={**os.environ, "PYTHONPATH": f"{found.folder}:{Path.cwd()}", "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(found.code())


@pytest.mark.parametrize("first", ["import lume_services\n", ""], ids=["watched", "loaded before"])
def test_a_script_knows_what_it_was_started_from(tmp_path, first):
    (tmp_path / "script.py").write_text(
        f"{first}from prefect import flow\n\n@flow\ndef step():\n    return 1\n\n"
        "from lume_services.flows.code.read import code_of\nprint(code_of(step).problem)\n"
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "None"


def test_a_flow_of_a_console_is_not_certain():
    program = "from prefect import flow\nfrom lume_services.flows.code.read import code_of\n"
    program += "@flow\ndef step():\n    return 1\nprint(code_of(step).problem)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "'__main__' is in no file" in done.stdout
