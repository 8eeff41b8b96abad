"""Runs the code blocks of README.md and docs/: Python, shell commands, and console sessions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

ROOT = Path(__file__).parent


def _shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )


def run_python(example: Example) -> None:
    """Run a block of Python in the module of its page; line numbers are those of the page."""
    code = compile("\n" * example.line + example.parsed, example.path, "exec")
    exec(code, example.namespace["_module"].__dict__)


def run_shell(example: Example) -> str | None:
    """Run a block of shell commands; a command that fails fails the block."""
    done = _shell(example.parsed)
    return None if done.returncode == 0 else f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"


def run_console(example: Example) -> str | None:
    """Run each `$ command` and compare what it prints; a line `…` stands for any lines."""
    for session in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
        command, _, expected = session.partition("\n")
        done = _shell(f"{command} 2>&1 || true")
        parts = re.split(r"^…\n", f"{expected.strip()}\n", flags=re.MULTILINE)
        pattern = r"(?:.*\n)*?".join(re.escape(part).replace("…", ".*") for part in parts)
        if not re.fullmatch(pattern, f"{done.stdout.strip()}\n"):
            return f"$ {command}\nexpected:\n{expected}\nprinted:\n{done.stdout}"
    return None


def _a_fresh_place(namespace: dict[str, object]) -> None:
    patch = pytest.MonkeyPatch()
    folder = tempfile.TemporaryDirectory()
    for name in [name for name in os.environ if name.startswith("LUME_")]:
        patch.delenv(name)
    patch.setenv("LUME_HOME", f"{folder.name}/lume")
    patch.chdir(folder.name)
    module = types.ModuleType("example")
    patch.setitem(sys.modules, "example", module)
    namespace.update(_patch=patch, _folder=folder, _module=module)


def _leave(namespace: dict[str, object]) -> None:
    from lume_services.config import unconfigure

    unconfigure()
    namespace["_patch"].undo()  # type: ignore[attr-defined]
    namespace["_folder"].cleanup()  # type: ignore[attr-defined]


class FileParser(CodeBlockParser):
    """Leaves out blocks with a title: they show a file."""

    def __call__(self, document):  # type: ignore[no-untyped-def]
        for region in super().__call__(document):
            first = document.text[region.start :].partition("\n")[0]
            if "title=" not in first:
                yield region


pytest_collect_file = Sybil(
    parsers=[
        FileParser("python", run_python),
        FileParser("bash", run_shell),
        FileParser("console", run_console),
        SkipParser(),
    ],
    patterns=["README.md", "docs/**/*.md"],
    path=str(ROOT),
    setup=_a_fresh_place,
    teardown=_leave,
).pytest()
