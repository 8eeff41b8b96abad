"""Whatever is read that others may have written gives an error of ours: no signal, no hang, no other error.

`LUME_FUZZ` says how many mutations there are in all; `make fuzz` makes 60 000.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fuzz.harness import run
from fuzz.target import target_named, target_names

MUTATIONS = int(os.environ.get("LUME_FUZZ", "800"))
KEEP = Path(os.environ.get("LUME_FUZZ_KEEP", ".cache/fuzz"))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
@pytest.mark.parametrize("name", target_names())
def test_mutations_are_refused_or_read(name: str) -> None:
    failures = run(target_named(name), -(-MUTATIONS // len(target_names())), KEEP)
    assert not failures, "\n".join(map(str, failures))
