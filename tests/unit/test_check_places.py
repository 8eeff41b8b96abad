"""Where the flows of a spec come from."""

import sys
from pathlib import Path

import pytest
from checked_specs import START, check, folder_with_flows, problems_of
from prefect import flow

from lume_services.flows.check import check_spec


@pytest.fixture
def here(tmp_path):
    with folder_with_flows(tmp_path):
        yield tmp_path


@flow(name="make")
def make_at_hand(n: int) -> int:
    return n


@flow(name="make")
def another_make(n: int) -> int:
    return n


def test_flows_at_hand_come_first(here):
    assert check(START, flows=[make_at_hand]).flows["make"] is make_at_hand


def test_flows_at_hand_must_be_flows_with_names_of_their_own(here):
    assert problems_of(START, flows=[make_at_hand, another_make]) == [
        "flows= holds 2 flows of the name 'make'. Give each its own name."
    ]
    assert problems_of(START, flows=[make_at_hand.fn, int]) == [
        (
            "what is given in flows= is of type function, not a flow. Give a flow: a function "
            "decorated with @prefect.flow."
        ),
        (
            "what is given in flows= is the class int, not a flow. Give a flow: a function "
            "decorated with @prefect.flow."
        ),
    ]


def test_a_flow_is_found_by_entry_point(here, monkeypatch):
    package = here / "demo-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[lume_services.flows]\nmake = demo_flows:make [more]\n")
    monkeypatch.syspath_prepend(str(here))
    checked = check(START.replace("    entrypoint: demo_flows:make\n", ""))
    assert checked.flows["make"].name == "make"
    (problem,) = problems_of("name: demo\ncomposing_flows: [{name: mkae}]")
    assert problem == (
        "spec.yaml:2, step 'mkae': the flow 'mkae' is not known. Did you mean 'make'? Write where it is, as "
        "`entrypoint: package.module:flow`, give it in flows=[...], or install a package that has an entry "
        "point for it in the group lume_services.flows."
    )


@pytest.mark.parametrize(
    ("entrypoint", "expected"),
    [
        ("demo_flows", "'demo_flows' does not say where a flow is. Write a module and a name in it, as "),
        ("./demo_flows.py:make", "'./demo_flows.py:make' does not say where a flow is. Write a module"),
        (
            "demo_flows:maek",
            (
                "there is no 'maek' in demo_flows ({here}/demo_flows.py). Did you mean 'make'? "
                "Choose one of: bounded, log, make, use."
            ),
        ),
        (
            "demo_flows.inner:make",
            "there is no module 'demo_flows.inner'. Install its package, or put it into",
        ),
        ("demo_flows:make.fn", "demo_flows:make.fn is of type function, not a flow. Give a flow:"),
        ("demo_flows:SecretStr", "demo_flows:SecretStr is the class SecretStr, not a flow. Give a flow:"),
        ("json:dumps", "json:dumps is of type function, not a flow."),
        ("json:flow", "there is no 'flow' in json ("),
        ("demo_flows:NOTHING", "demo_flows:NOTHING is of type NoneType, not a flow."),
        ("demo_flows:NUMBER.flow", "there is no 'flow' in demo_flows (int). It defines no flow."),
    ],
)
def test_an_entrypoint_that_leads_nowhere(here, entrypoint, expected):
    (problem,) = problems_of(START.replace("demo_flows:make", entrypoint))
    place = "spec.yaml:4, step 'make': "
    assert problem.removeprefix(place).startswith(expected.format(here=here))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import numpyy", "broken.py:1: ModuleNotFoundError: No module named 'numpyy'."),
        ("x = 1\nx / 0", "broken.py:2: ZeroDivisionError: division by zero."),
        ("def f(:", "broken.py:1: SyntaxError: invalid syntax."),
        ("raise SystemExit(3)", "broken.py:1: SystemExit: 3."),
        (
            "from demo_flows import nothing",
            "broken.py:1: ImportError: cannot import name 'nothing' from 'demo_flows'",
        ),
    ],
)
def test_an_error_inside_a_module_is_told_with_its_place(here, source, expected):
    Path("broken.py").write_text(source)
    (problem,) = problems_of(START.replace("demo_flows", "broken"))
    start = f"spec.yaml:4, step 'make': the module 'broken' cannot be imported at {here}/"
    assert problem.startswith(start + expected)
    assert "broken" not in sys.modules


def test_a_module_beside_the_spec_is_found_and_does_not_hide_an_installed_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        source = (
            f"from prefect import flow\n@flow(name='{name}')\ndef make(n: int = 1) -> int:\n    return n\n"
        )
        (folder / "beside_flows.py").write_text(source)
        (folder / "json.py").write_text("raise RuntimeError")
        (folder / "spec.yaml").write_text(START.replace("demo_flows", "beside_flows"))
        # The second spec does not get the module of the first, which has the same name.
        assert check_spec(folder / "spec.yaml").flows["make"].name == name
    assert sys.path == path
    assert "json.py" not in str(sys.modules["json"].__spec__)
    del sys.modules["beside_flows"]
