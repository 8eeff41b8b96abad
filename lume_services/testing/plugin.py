"""The pytest plugin: an isolated container for each test that asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lume_services.config import Context, LUMEServicesSettings


def isolated_settings(home: Path) -> LUMEServicesSettings:
    """Return default settings that keep everything in one folder.

    Args:
        home: The folder. `LUME_` variables must not be set; `.env` is not read.
    """
    from lume_services.config import LUMEServicesSettings

    return LUMEServicesSettings(_env_file=None, home=home)


@pytest.fixture
def lume_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """Configure LUME-services for one test: local backend, files and results in a temporary folder.

    Environment variables and `.env` have no influence. The container is the process's own during the
    test, so that threads and tasks see it, and is closed afterwards. To replace a part:

        def test_mine(lume_context):
            with lume_context.results_db.override(fake):
                ...
    """
    from lume_services.config import configure, unconfigure

    for name in [name for name in os.environ if name.upper().startswith("LUME_")]:
        monkeypatch.delenv(name)
    context = configure(isolated_settings(tmp_path / "lume"))
    yield context
    unconfigure()
