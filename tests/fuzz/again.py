"""Reads an input again that failed: `PYTHONPATH=tests python -m fuzz.again TARGET FILE`."""

from __future__ import annotations

import sys
from pathlib import Path

from fuzz.target import target_named

if __name__ == "__main__":
    target = target_named(sys.argv[1])
    print(target.read(target.of_bytes(Path(sys.argv[2]).read_bytes())))
