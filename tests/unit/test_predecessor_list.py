"""The list of the predecessor's defects is true: what it names exists, and names its defect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
ROWS = re.findall(r"^\| ([A-Z]+-\w+) \| (.*) \|$", (TESTS / "predecessor.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("defect", "where"), ROWS)
def test_it_is_where_the_list_says(defect, where):
    for file, _, name in re.findall(r"`([\w/]+\.py)(::(\w+))?`", where):
        source = (TESTS / file).read_text()
        assert f"def {name or 'test_'}" in source
        if where == f"`{file}`":
            assert re.search(rf"\b{defect}\b", source), f"{file} does not name {defect}"


def test_the_list_is_whole():
    assert len({defect for defect, _ in ROWS}) == len(ROWS)
    assert {"CFG", "UTL", "RES", "FIL", "SVC", "TSK", "SCH"} <= {
        defect.partition("-")[0] for defect, _ in ROWS
    }
