"""A short `make chaos`: server, workers and jobs are killed at random, and every promise is kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import servers_postgresql
import servers_prefect

pytestmark = pytest.mark.system


@pytest.mark.skipif(sys.platform != "linux", reason="what is left of processes is looked for in /proc")
def test_promises_are_kept_while_everything_is_killed(tmp_path):
    servers_prefect.session_server()
    servers_postgresql.session_server()
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent.parent / "chaos"), "--seconds", "45", "--runs", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all promises were kept" in done.stdout
