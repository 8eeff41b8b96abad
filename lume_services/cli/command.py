"""Commands to type next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

PROGRAM = "lume-services"


def command_line(*arguments: str) -> str:
    """Return the command with these arguments as it can be typed in the user's shell.

    Where the program is not on the path, it is named as it was called. What `make` has put into the
    environment ends with it, so where the results are is repeated; other variables may hold secrets.
    """
    program = PROGRAM if shutil.which(PROGRAM) else _called_as()
    home = os.environ.get("LUME_HOME") if "MAKELEVEL" in os.environ else None
    variables = [] if home is None else [f"LUME_HOME={shlex.quote(home)}"]
    return " ".join([*variables, program, *map(shlex.quote, arguments)])


def _called_as() -> str:
    called = Path(sys.argv[0])
    if called.name != PROGRAM:
        return f"{shlex.quote(sys.executable)} -m lume_services"
    here = Path.cwd()
    return shlex.quote(str(called.relative_to(here) if called.is_relative_to(here) else called))
