"""A result knows where it comes from."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from lume_services.results import Provenance, Result
from lume_services.results.provenance import git_commit

FLOW = """
import json
from prefect import flow, task
from lume_services.config import configure
from lume_services.results import Result

@task
def evaluate(x):
    return 2 * x

@task
def make(y):
    return Result(project_name="p", outputs={"y": y})

@flow(name="child")
def child(x):
    result = make(evaluate.submit(x))
    result.insert()
    return result

@flow(name="parent")
def parent(x):
    own = Result(project_name="p", inputs={"x": x})
    return own, child(x)

context = configure({"home": "home"})
own, made = context.scheduling_service().run_and_return(flow=parent, parameters={"x": 1})
stored = next(Result.find("p"))
print(json.dumps([result.model_dump(mode="json") for result in (own, made, stored)]))
"""


def test_outside_of_a_flow() -> None:
    found = Result().provenance
    assert found.host == socket.gethostname()
    assert found.python == platform.python_version()
    assert found.packages["lume-services"] == version("lume-services")
    assert found.packages["numpy"] == version("numpy")
    assert (found.flow_name, found.flow_run_id, found.task_run_id, found.parents) == (None, None, None, [])
    assert Result().flow_id is None


def run_in(folder: Path) -> list[dict[str, Any]]:
    (folder / "my_flows.py").write_text(FLOW)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("LUME_", "PREFECT_"))
    }
    environment |= {"PREFECT_HOME": str(folder / "prefect"), "DO_NOT_TRACK": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "my_flows"],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    results: list[dict[str, Any]] = json.loads(run.stdout.splitlines()[-1])
    return results


def test_inside_of_flows_and_tasks(tmp_path: Path) -> None:
    """RES-17: a local run has the same ids as any other."""
    own, made, stored = run_in(tmp_path)
    assert own["provenance"]["flow_name"] == "parent"
    assert own["provenance"]["task_run_id"] is None
    assert own["provenance"]["parents"] == []
    assert made["provenance"]["flow_name"] == "child"
    assert made["provenance"]["task_run_id"]
    assert len(made["provenance"]["parents"]) == 2  # the sub-flow's task run in the parent; `evaluate`
    assert made["provenance"]["started"]
    assert made["provenance"]["backend"] == "local"
    assert made["flow_id"] not in (None, own["flow_id"], "child")
    assert own["provenance"]["flow_run_id"] != made["provenance"]["flow_run_id"]
    assert own["project_name"] == "p"
    assert stored == made


def test_a_later_version_may_know_more() -> None:
    assert Provenance.model_validate({"host": "h", "container": "sha256:…"}).model_dump()["container"]


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "below").mkdir(parents=True)
    git(folder, "init", "--initial-branch", "main")
    git(folder, "commit", "--allow-empty", "--message", "first")
    return folder


def commit_of(folder: Path) -> str | None:
    git_commit.cache_clear()
    return git_commit(folder)


def test_the_commit_of_a_repository(repository: Path, tmp_path: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert commit_of(repository) == commit_of(repository / "below") == commit
    git(repository, "pack-refs", "--all")
    assert commit_of(repository) == commit
    git(repository, "worktree", "add", "--detach", str(tmp_path / "tree"))
    assert commit_of(tmp_path / "tree") == commit
    git(repository, "worktree", "add", "-b", "other", str(tmp_path / "branch"))
    git(tmp_path / "branch", "commit", "--allow-empty", "--message", "second")
    assert commit_of(tmp_path / "branch") == git(tmp_path / "branch", "rev-parse", "HEAD") != commit
    git(repository, "checkout", "--detach")
    assert commit_of(repository) == commit


def test_no_commit(tmp_path: Path, repository: Path) -> None:
    assert commit_of(tmp_path) is None
    git(repository, "checkout", "--orphan", "empty")
    assert commit_of(repository) is None
    (repository / ".git" / "HEAD").unlink()
    assert commit_of(repository) is None
    assert git_commit(None) is None
