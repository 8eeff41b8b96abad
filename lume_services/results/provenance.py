"""Where a result comes from: the run, the machine, the versions of the software."""

from __future__ import annotations

import getpass
import inspect
import logging
import platform
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

if TYPE_CHECKING:
    from prefect.context import FlowRunContext, TaskRunContext

_PACKAGES = ("lume-services", "lume-base", "prefect", "numpy")

logger = logging.getLogger(__name__)

_step_run_id: ContextVar[str | None] = ContextVar("step_run_id", default=None)


class Provenance(BaseModel):
    """Where a result comes from. Outside of a Prefect run, the fields of the run are None.

    Attributes:
        flow_name: Name of the flow.
        flow_run_id: Id of the flow run.
        flow_run_name: Name of the flow run.
        deployment_name: Name of the deployment that was run.
        task_run_id: Id of the task run that made the result.
        step_run_id: Id of the flow run of the step, where the result was made in a step of a flow-of-flows;
            another than `flow_run_id` in a subflow of that.
        parents: Ids of the runs that this run builds on: the task runs whose results the task took in, and
            the one that stands for a sub-flow in its parent.
        started: When the run began.
        host: Name of the machine.
        user: Name of the user.
        backend: The LUME-services backend that ran the flow; known once the result is stored.
        python: Version of Python.
        packages: Versions of the packages that matter, that of the flow's own package among them.
        code_version: Git commit of the code, where it lies in a repository.
    """

    # A later version may write more.
    model_config = ConfigDict(extra="allow")

    flow_name: str | None = None
    flow_run_id: str | None = None
    flow_run_name: str | None = None
    deployment_name: str | None = None
    task_run_id: str | None = None
    step_run_id: str | None = None
    parents: list[str] = []
    started: AwareDatetime | None = None
    host: str | None = None
    user: str | None = None
    backend: str | None = None
    python: str | None = None
    packages: dict[str, str] = {}
    code_version: str | None = None

    @classmethod
    def here(cls) -> Provenance:
        """Return the provenance of what is made now and here."""
        flow_context, task_context = _run_contexts()
        code = _code(flow_context)
        return cls(
            **_of_flow_run(flow_context),
            task_run_id=None if task_context is None else str(task_context.task_run.id),
            step_run_id=_step_run_id.get(),
            parents=_parents(flow_context, task_context),
            host=socket.gethostname(),
            user=_user(),
            python=platform.python_version(),
            packages=_versions(code.package),
            code_version=git_commit(code.folder),
        )


@contextmanager
def within_step(flow_run_id: str) -> Iterator[None]:
    """Let what is made in the block know the flow run of its step."""
    token = _step_run_id.set(flow_run_id)
    try:
        yield
    finally:
        _step_run_id.reset(token)


def current_flow_id() -> str | None:
    """Return the id of the Prefect flow that is running, or None."""
    context, _ = _run_contexts()
    return None if context is None or context.flow_run is None else str(context.flow_run.flow_id)


@lru_cache
def git_commit(folder: Path | None) -> str | None:
    """Return the commit that is checked out in the repository around a folder, or None.

    It is read from the files of the repository as the process first asks for it: no program is run.
    """
    try:
        for above in () if folder is None else (folder, *folder.parents):
            if (above / ".git").exists():
                return _head(_git_folder(above / ".git"))
    except OSError as error:
        logger.debug("cannot read the git repository around %s: %s", folder, error)
    return None


def _run_contexts() -> tuple[FlowRunContext | None, TaskRunContext | None]:
    if "prefect.context" not in sys.modules:
        return None, None
    from prefect.context import FlowRunContext, TaskRunContext

    return FlowRunContext.get(), TaskRunContext.get()


def _of_flow_run(context: FlowRunContext | None) -> dict[str, Any]:
    if context is None or context.flow_run is None:
        return {}
    return {
        "flow_name": context.flow.name if context.flow else None,
        "flow_run_id": str(context.flow_run.id),
        "flow_run_name": context.flow_run.name,
        "deployment_name": _deployment_name() if context.flow_run.deployment_id else None,
        "started": datetime.fromtimestamp(context.start_time.timestamp(), UTC),  # Prefect's is a subclass
    }


def _deployment_name() -> str | None:
    import httpx
    from prefect.exceptions import PrefectException
    from prefect.runtime import deployment

    try:
        name: str | None = deployment.name
    except (httpx.HTTPError, PrefectException) as error:
        logger.warning("The name of the deployment is not known, the API says: %s", error)
        return None
    return name


def _parents(flow_context: FlowRunContext | None, task_context: TaskRunContext | None) -> list[str]:
    parents = []
    if flow_context is not None and flow_context.flow_run is not None:
        parents.append(flow_context.flow_run.parent_task_run_id)
    if task_context is not None:
        inputs = task_context.task_run.task_inputs.values()
        parents += [source.id for sources in inputs for source in sources if source.input_type == "task_run"]
    return list(dict.fromkeys(str(parent) for parent in parents if parent is not None))


@dataclass(frozen=True)
class _Code:
    """The code that makes the result: its top-level package and its folder."""

    package: str | None
    folder: Path | None


def _code(context: FlowRunContext | None) -> _Code:
    if context is not None and context.flow is not None:
        function = inspect.unwrap(context.flow.fn)
        return _Code(function.__module__.partition(".")[0], Path(function.__code__.co_filename).parent)
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return _Code(None, Path(file).absolute().parent if file else None)


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return None


@lru_cache
def _versions(package: str | None) -> dict[str, str]:
    found = {}
    for name in (*_PACKAGES, *((package,) if package else ())):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _git_folder(entry: Path) -> Path:
    """Return the folder that `.git` is, or that it names in a work tree or a submodule."""
    if entry.is_dir():
        return entry
    return entry.parent / entry.read_text("utf-8").removeprefix("gitdir:").strip()


def _head(repository: Path) -> str | None:
    head = (repository / "HEAD").read_text("utf-8").strip()
    if not head.startswith("ref:"):
        return head
    name = head.removeprefix("ref:").strip()
    common = repository / "commondir"
    shared = repository / common.read_text("utf-8").strip() if common.exists() else repository
    if (shared / name).exists():
        return (shared / name).read_text("utf-8").strip()
    packed = shared / "packed-refs"
    lines = packed.read_text("utf-8").splitlines() if packed.exists() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), None)
