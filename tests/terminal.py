"""A terminal of our own, for what is shown on one only."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def shown_on_a_terminal(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], columns: int
) -> str:
    """Run a command whose standard error is a terminal, which must succeed; return what that shows."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        cwd=folder,
        env={**environment, "TERM": "xterm", "COLUMNS": str(columns)},
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # how a terminal tells its end
            pass
        os.close(ours)
    assert process.returncode == 0
    return shown.decode()
