"""A module that runs as `python -m` does, in a process that lives no longer than the one that started it.

Standard input is a pipe whose other end the starting process holds. However that process ends, by `kill -9`
too, the system closes the pipe. This works on every Unix.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from threading import Thread


def command(*arguments: str) -> Sequence[str]:
    """Return the command for `python -m` with the arguments; its standard input is to be a pipe."""
    return [sys.executable, "-m", __name__, *arguments]


def main(module: str, *arguments: str) -> None:
    """Run a module, and end when standard input is closed."""
    Thread(target=_end_with_input, daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
