"""Points of a scan are those of the code that has run."""

import textwrap
from pathlib import Path

import pytest

from lume_services.errors import BackendError
from lume_services.flows import FlowOfFlows

SPEC = """
name: grid
composing_flows:
  - {name: gained, entrypoint: "gained_flows:gained"}
"""
FLOWS = """
from pathlib import Path
from prefect import flow
from gained_tools import GAIN

@flow
def gained(x: float, note: str = "") -> float:
    from gained_late import OFFSET

    if note:  # the module is edited while the scan runs
        Path(note).write_text("OFFSET = 1")
    return GAIN * x + OFFSET
"""


class Gained:
    """A spec and its modules, which are imported by the processes of the scan alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in {
            "spec.yaml": SPEC,
            "gained_flows.py": FLOWS,
            "gained_tools.py": "GAIN = 2",
            "gained_late.py": "OFFSET = 0",
        }.items():
            (folder / name).write_text(textwrap.dedent(text))

    def scan(self, over, **values):
        return FlowOfFlows.from_yaml(self.folder / "spec.yaml").scan(
            {"gained.x": over}, parameters={"gained": values}, workers=1
        )


@pytest.fixture
def gained(tmp_path, lume_context):
    import sys

    yield Gained(tmp_path)
    for name in [name for name in sys.modules if name.startswith("gained_")]:
        del sys.modules[name]


def counted(scan):
    points = list(scan)
    assert not [point.error for point in points if point.error]
    return {point.values["gained.x"]: (point.results["gained"], point.reused) for point in points}


def test_points_of_unchanged_code_are_taken(gained):
    assert counted(gained.scan([1, 2])) == {1.0: (2.0, False), 2.0: (4.0, False)}
    (gained.folder / "gained_late.py").write_text("# nothing\nOFFSET = (0)")
    assert counted(gained.scan([1, 2, 3])) == {1.0: (2.0, True), 2.0: (4.0, True), 3.0: (6.0, False)}


@pytest.mark.parametrize("module", ["late", "tools"])
def test_points_of_other_code_are_not(gained, module):
    counted(gained.scan([1]))
    text = {"late": "OFFSET = 10", "tools": "GAIN = 12"}[module]
    (gained.folder / f"gained_{module}.py").write_text(text)
    # This process may have loaded the old module: the processes of the scan load the new one.
    assert counted(gained.scan([1])) == {1.0: (12.0, False)}


def test_a_scan_stops_whose_code_is_edited_while_it_runs(gained):
    late = str(gained.folder / "gained_late.py")
    with pytest.raises(
        BackendError, match=r"'gained' has changed since the scan was begun: module 'gained_late'"
    ):
        list(gained.scan([1, 2], note=late))
    assert counted(gained.scan([1], note=late)) == {1.0: (3.0, False)}


def test_a_scan_whose_code_is_not_certain_takes_no_earlier_point(gained):
    flows = gained.folder / "gained_flows.py"
    flows.write_text(flows.read_text() + "\nexec(str())\n")
    scan = gained.scan([1])
    assert f"{flows}:14: exec() of a text that is computed" in scan.problem
    assert counted(scan) == counted(gained.scan([1])) == {1.0: (2.0, False)}
