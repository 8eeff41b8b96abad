"""What counts as the code of a flow: whatever may change what it gives."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from code_modules import ENTRYPOINT, step
from edits_of_code import EDITS, NOT, Edit, closure

from lume_services.flows.code.made import modules_of
from lume_services.flows.code.read import code_of


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_a_step_runs_again_if_what_it_gives_may_have_changed(modules, edit: Edit, lume_context):
    """Nobody has to believe the table: after the edits of the first part, the flow returns something else."""
    run = lume_context.scheduling_service().run_and_return
    found = modules(edit.files())
    before, gave = found.code(), repr(run(found.flow()))
    assert found.code().differences(before) == []
    found.edit(edit.file, edit.old, edit.new)
    after, gives = found.code(), repr(run(found.flow()))
    assert (gives == gave) == (edit in NOT)
    assert bool(after.differences(before)) == edit.again
    assert before.problem is None
    assert after.problem is None


@pytest.mark.parametrize(
    ("lines", "before", "what"),
    [
        (
            ["return import_module(NAME).K"],
            "from importlib import import_module\nNAME = 'too' + 'ls'",
            "import_module",
        ),
        (
            ["return list(map(import_module, ['tools']))"],
            "from importlib import import_module",
            "import_module() of a name",
        ),
        (["return load('too' + 'ls')"], "from importlib import import_module as load", "import_module()"),
        (["exec(TEXT)", "return 1"], "TEXT = str()", r"exec\(\)"),
        (["return eval(TEXT)"], "TEXT = str(1)", r"eval\(\)"),
        (["import runpy", "return runpy.run_path('x.py')"], "", "run_path"),
        (["return run('x.py')"], "from runpy import run_path as run", "runpy.run_path"),
        (["return list(map(runpy.run_path, ['x.py']))"], "import runpy", "runpy.run_path"),
        (["builtins.exec(TEXT)"], "import builtins\nTEXT = str()", "exec()"),
        (["return pickle.load(open('x', 'rb'))"], "import pickle", "pickle.load()"),
        (["return load('surrogate')"], "from joblib import load", "joblib.load()"),
        (["return np.load('x', allow_pickle=True)"], "import numpy as np", "numpy.load()"),
        (["return getattr(importlib, 'import_module')('tools')"], "import importlib", "importlib"),
    ],
    ids=str,
)
def test_code_that_no_reading_can_follow_is_not_certain(modules, lines, before, what):
    found = modules(step(*lines, before=before, **{"tools.py": "K = 1\n", "joblib.py": "load = None\n"}))
    assert found.code().problem is not None
    assert what.replace("\\", "") in str(found.code().problem)
    assert f"{found.folder / 'step.py'}:" in str(found.code().problem)
    found.edit("step.py", "@flow", "@flow(version='1')")
    assert found.code().problem is None  # the user's own word


def test_differences_name_what_changed(modules):
    files = step(
        "return GAIN",
        before="from kit.tools import GAIN",
        **{"kit/__init__.py": "", "kit/tools.py": "GAIN = 1\n"},
    )
    found = modules(files)
    before = found.code()
    found.edit("kit/tools.py", "1", "2")
    assert found.code().differences(before) == ["module 'kit.tools'"]
    found.edit("step.py", "from kit.tools import GAIN", "GAIN = 1")
    gone = "module 'kit{}' is not imported any more"
    assert found.code().differences(before) == [gone.format(""), gone.format(".tools"), "module 'step'"]


def test_the_version_counts_where_the_user_gives_one(modules):
    found = modules(step("return 1")).flow()
    versions = [
        code_of(found.with_options(version=version), ENTRYPOINT).version for version in ("1", "2", None)
    ]
    assert versions == ["1", "2", None]


# what is installed ----------------------------------------------------------------------------------


class Installed:
    """A distribution in a folder where modules are found."""

    def __init__(self, folder: Path, name: str = "OtherLab", **more: str) -> None:
        self.folder = folder
        (folder / "otherlab.py").write_text("gain = 1\n")
        self.info = folder / f"{name}-1.0.dist-info"
        self.info.mkdir()
        (self.info / "RECORD").write_text("otherlab.py,,\n")
        self.version("1.0")
        for file, text in more.items():
            (self.info / file.replace("__", ".")).write_text(text)

    def version(self, version: str) -> None:
        (self.info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: OtherLab\nVersion: {version}\n\nText\n"
        )

    def forget(self) -> None:
        from lume_services.flows.code.modules import _versions

        _versions.cache_clear()


def test_of_what_is_installed_the_version_counts(modules, tmp_path):
    other = Installed(tmp_path)
    found = modules(step("return gain", before="from otherlab import gain"))
    before = found.code()
    assert before.versions["OtherLab"] == "1.0"
    assert set(before.modules) == {"step"}
    other.version("1.1")
    other.forget()
    assert found.code().differences(before) == ["OtherLab was 1.0 and is 1.1"]


def test_what_was_installed_from_a_folder_is_code_of_the_user(modules, tmp_path):
    Installed(tmp_path, direct_url__json='{"url": "file:///home/me/otherlab", "dir_info": {}}')
    found = modules(step("return gain", before="from otherlab import gain"))
    assert set(found.code().modules) == {"step", "otherlab"}


def test_what_conda_has_installed_was_not_made_by_the_user(modules, tmp_path):
    Installed(
        tmp_path, direct_url__json='{"url": "file:///home/conda/work", "dir_info": {}}', INSTALLER="conda\n"
    )
    found = modules(step("return gain", before="from otherlab import gain"))
    assert found.code().versions["OtherLab"] == "1.0"


def test_python_and_what_distributions_require_count(modules):
    versions = modules(step("return 1", before="import scipy")).code().versions
    assert versions["Python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert versions["numpy"] == np.__version__
    assert versions.keys() >= {"prefect", "scipy"}


def test_an_optional_module_that_appears_counts(modules):
    found = modules(
        step("return GAIN", before="try:\n    from extra import GAIN\nexcept ImportError:\n    GAIN = 1")
    )
    before = found.code()
    (found.folder / "extra.py").write_text("GAIN = 2\n")
    assert found.code().differences(before) == ["module 'extra'"]


# flows that a call has made -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "constants",
    [
        (1, 2, 1.0, True, "1", b"1", None),
        ([1], [2], (1,)),
        ({"a": 1}, {"a": 2}),
        ({1}, {2}),
        ((), []),
        ([1, 2, 1], [1, 2, 2], [1, 2]),
        ([abs, 1], [abs, 2]),
    ],
    ids=str,
)
def test_enclosed_values_count(constants):
    codes = [code_of(closure(constant)) for constant in constants]
    assert {code.problem for code in codes} == {None}
    assert len({code.enclosed for code in codes}) == len(constants)
    assert code_of(closure(constants[0])) == codes[0]


def test_enclosed_functions_count():
    found = [lambda x: x + 1, lambda x: x + 2, lambda x: x - 1]
    assert len({code_of(closure(0, function)).enclosed for function in found}) == 3


def test_an_enclosed_value_that_cannot_be_compared_is_not_certain():
    assert "encloses a value that cannot be compared, of type object" in str(
        code_of(closure(object())).problem
    )


def test_what_a_flow_of_a_module_encloses_counts(modules):
    """It may depend on more than the module says."""
    made = "import os\nfrom prefect import flow\ndef make(k):\n    @flow\n    def step():\n        return k\n"
    found = modules({"step.py": f"{made}    return step\nstep = make(os.environ['LIMIT'])\n"})
    codes = []
    for limit in ("3", "4", "3"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LIMIT", limit)
            codes.append(found.code())
    assert codes[0] == codes[2]
    assert codes[1].differences(codes[0]) == ["the values that it encloses"]


def test_the_classes_of_what_goes_in_count(modules):
    """A flow may call methods of an object whose class it does not import."""
    found = modules(step("return 1", **{"beam.py": "class Beam:\n    def energy(self):\n        return 1\n"}))
    codes = []
    for text in ("1", "2"):
        found.edit("beam.py", "return 1", f"return {text}")
        loaded = found.flow()
        value = {"beams": [1, (import_module("beam").Beam(),)]}
        codes.append(code_of(loaded, ENTRYPOINT, classes=modules_of(value)))
    assert codes[1].differences(codes[0]) == ["module 'beam'"]
    assert modules_of([1.0] * 10) == {"builtins"}


def test_long_expressions_can_be_read(modules):
    terms = " + ".join(f"{number} * x" for number in range(900))
    found = modules(step("return taylor(1)", before=f"def taylor(x):\n    return {terms}\n"))
    before = found.code()
    assert before.problem is None
    found.edit("step.py", "899 *", "898.5 *")
    assert found.code().differences(before) == ["module 'step'"]


def test_an_unreadable_module_is_not_certain(modules):
    found = modules(step("import tools", **{"tools.py": "def ("}))
    assert "the source of module 'tools' cannot be read" in str(found.code().problem)


def test_flows_of_one_factory_are_told_apart_by_their_names(modules):
    made = "def make(k):\n    @flow\n    def step():\n        return k\n    return step\n"
    made += "one = make([1])\nstep = make([2])\n"
    found = modules({"step.py": f"from prefect import flow\n{made}"})
    loaded = found.flow()
    other = code_of(sys.modules["step"].one, "step:one")
    assert code_of(loaded, ENTRYPOINT).differences(other) == ["the values that it encloses"]
