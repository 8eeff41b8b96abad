"""Runs the code blocks of README.md and docs/: Python, shell commands, and console sessions.

Which tests stay together where pytest-xdist runs them in several processes is said here, too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown import CodeBlockParser, SkipParser

ROOT = Path(__file__).parent
BACKENDS = "tests/contract/backends/"
FUZZ = "tests/fuzz/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file in one process, and all those that share the servers of backends.

    Those of the fuzz suite share nothing.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if file.startswith(FUZZ):
                return nodeid
            return BACKENDS if file.startswith(BACKENDS) else file

    return Together(config, log)


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
    """Run each `$ command` and compare what it prints; a line `…` stands for any lines.

    A command fails where its first expected line begins with `Error:`, and nowhere else.
    """
    for session in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
        command, _, expected = session.partition("\n")
        done = _shell(f"{{ {command}; }} 2>&1")
        if (done.returncode != 0) != expected.startswith("Error:"):
            return f"$ {command}\nexit code {done.returncode}\n{done.stdout}"
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
    patch.delenv("MAKELEVEL", raising=False)  # the pages show what a user's own shell prints
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


def write_file(example: Example) -> None:
    """Write a block with a title as the file of that name."""
    name, source = example.parsed
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)


TITLED = re.compile(
    r"^```\w+ title=\"(?P<title>[^\"]+)\"\n(?P<source>.*?)^```$", flags=re.MULTILINE | re.DOTALL
)


def parse_files(document: Document) -> Iterator[Region]:
    """Find the blocks with a title."""
    for match in TITLED.finditer(document.text):
        yield Region(match.start(), match.end(), (match["title"], match["source"]), write_file)


class UntitledParser(CodeBlockParser):
    """Leaves the blocks with a title to `parse_files`."""

    def __call__(self, document: Document) -> Iterator[Region]:
        for region in super().__call__(document):
            if "title=" not in document.text[region.start :].partition("\n")[0]:
                yield region


pytest_collect_file = Sybil(
    parsers=[
        UntitledParser("python", run_python),
        UntitledParser("bash", run_shell),
        UntitledParser("console", run_console),
        parse_files,
        SkipParser(),
    ],
    patterns=["README.md", "docs/**/*.md"],
    path=str(ROOT),
    setup=_a_fresh_place,
    teardown=_leave,
).pytest()
