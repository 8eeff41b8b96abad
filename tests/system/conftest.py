"""What the tests of runs share."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The steps that ran, in their order, in this process and in others."""
    file = tmp_path / "counter"
    monkeypatch.setenv("RESUME_COUNTER", str(file))
    return lambda: file.read_text("utf-8").split()
