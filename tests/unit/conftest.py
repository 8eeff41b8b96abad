"""Fixtures of the unit tests."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from code_modules import Modules


@pytest.fixture
def modules(tmp_path, monkeypatch) -> Iterator[Callable[..., Modules]]:
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def make(files: Mapping[str, str]) -> Modules:
        made.append(Modules(tmp_path, files))
        return made[-1]

    yield make
    for one in made:
        one.forget()
