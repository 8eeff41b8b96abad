"""Find the Prefect flow of every step."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from prefect import Flow

from lume_services.errors import Problem, SpecError, choose_from, nearest
from lume_services.flows.checks.findings import Findings
from lume_services.flows.parse import Steps
from lume_services.flows.spec import StepSpec
from lume_services.values.written import Loc

ENTRY_POINT_GROUP = "lume_services.flows"


def resolve_flows(
    steps: Steps, findings: Findings, flows: Sequence[Flow[..., Any]] = ()
) -> dict[int, Flow[..., Any]]:
    """Find the flow of every step: among `flows` by name, by its `entrypoint`, or among entry points.

    Modules of the user are imported, which runs their top level; no flow runs.

    Args:
        steps: The steps by position.
        findings: Takes a problem for every flow that is not found.
        flows: Flows at hand.

    Returns:
        The flows that were found, by the position of their step.

    Raises:
        SpecError: Something else than flows was given as `flows`, or two of one name.
    """
    given = _by_name(flows)
    resolver = _Resolver(given, findings)
    with importable_from(findings.document.folder):
        found = {index: resolver.flow(step, ("composing_flows", index)) for index, step in steps.items()}
    return {index: flow for index, flow in found.items() if flow is not None}


@contextmanager
def importable_from(folder: Path | None) -> Iterator[None]:
    """Let modules be imported from the folder of a spec and from the working directory.

    They come last in the search, so a file beside a spec never hides an installed package.
    """
    known = [entry or str(Path.cwd()) for entry in sys.path]
    wanted = dict.fromkeys(str(place) for place in (folder, Path.cwd()) if place is not None)
    added = [place for place in wanted if place not in known]
    sys.path.extend(added)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for place in added:
            if place in sys.path:
                sys.path.remove(place)


def _by_name(flows: Sequence[Flow[..., Any]]) -> dict[str, Flow[..., Any]]:
    others = [found for found in flows if not isinstance(found, Flow)]
    problems = [
        Problem(f"what is given in flows= is {_kind(other)}, not a flow.", remedy=_DECORATE)
        for other in others
    ]
    counts = Counter(flow.name for flow in flows if isinstance(flow, Flow))
    problems += [
        Problem(f"flows= holds {count} flows of the name {name!r}.", remedy="Give each its own name.")
        for name, count in counts.items()
        if count > 1
    ]
    if problems:
        raise SpecError("the flows cannot be used", problems)
    return {flow.name: flow for flow in flows}


_DECORATE = "Give a flow: a function decorated with @prefect.flow."


def _kind(found: object) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else f"of type {type(found).__name__}"


class _Resolver:
    def __init__(self, given: Mapping[str, Flow[..., Any]], findings: Findings) -> None:
        self.given = given
        self.findings = findings
        self.entry_points = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}

    def flow(self, step: StepSpec, loc: Loc) -> Flow[..., Any] | None:
        if step.name in self.given:
            return self.given[step.name]
        if step.entrypoint:
            return self.load(step.entrypoint, (*loc, "entrypoint"))
        if step.name in self.entry_points:
            point = self.entry_points[step.name]
            return self.load(f"{point.module}:{point.attr}", (*loc, "name"))
        known = {*self.given, *self.entry_points}
        meant = nearest(step.name, known)
        question = f"Did you mean {meant!r}? " if meant else ""
        remedy = (
            f"{question}Write where it is, as `entrypoint: package.module:flow`, give it in flows=[...], or "
            f"install a package that has an entry point for it in the group {ENTRY_POINT_GROUP}."
        )
        self.findings.problem((*loc, "name"), f"the flow {step.name!r} is not known.", remedy)
        return None

    def load(self, entrypoint: str, loc: Loc) -> Flow[..., Any] | None:
        module_name, colon, attribute = entrypoint.partition(":")
        names = [*module_name.split("."), *attribute.split(".")]
        if not colon or not all(name.isidentifier() for name in names):
            message = f"{entrypoint!r} does not say where a flow is."
            self.findings.problem(loc, message, "Write a module and a name in it, as package.module:flow.")
            return None
        found = self.module(module_name, loc)
        if found is None:
            return None
        for name in attribute.split("."):
            if not hasattr(found, name):
                self.no_attribute(found, name, module_name, loc)
                return None
            found = getattr(found, name)
        if isinstance(found, Flow):
            return found
        self.findings.problem(loc, f"{entrypoint} is {_kind(found)}, not a flow.", _DECORATE)
        return None

    def module(self, name: str, loc: Loc) -> Any:
        _forget_namesake(name)
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                folder = self.findings.document.folder or Path.cwd()
                message = f"there is no module {error.name!r}."
                self.findings.problem(loc, message, f"Install its package, or put it into {folder}.")
                return None
            self.broken_module(name, error, loc)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's module may raise anything
            self.broken_module(name, error, loc)
        return None

    def broken_module(self, name: str, error: BaseException, loc: Loc) -> None:
        machinery = (__file__, importlib.__file__)
        frames = traceback.extract_tb(error.__traceback__)
        users = [frame for frame in frames if frame.filename not in machinery and frame.filename[0] != "<"]
        place = f" at {users[-1].filename}:{users[-1].lineno}" if users else ""
        if isinstance(error, SyntaxError):
            place = f" at {error.filename}:{error.lineno}"
        reason = f"{type(error).__name__}: {getattr(error, 'msg', None) or error}"
        message = f"the module {name!r} cannot be imported{place}: {reason}."
        self.findings.problem(loc, message, "Correct it; the flow was not looked at.")

    def no_attribute(self, owner: Any, name: str, module: str, loc: Loc) -> None:
        members = getattr(owner, "__dict__", {})
        flows = [known for known, value in members.items() if isinstance(value, Flow)]
        message = f"there is no {name!r} in {module} ({getattr(owner, '__file__', type(owner).__name__)})."
        remedy = choose_from(name, flows) if flows else "It defines no flow."
        self.findings.problem(loc, message, remedy)


def _forget_namesake(name: str) -> None:
    """Forget a module that a spec of another folder has imported under the same name.

    Two specs in one process may each have their `flows.py` beside them.
    """
    top = name.partition(".")[0]
    loaded = getattr(sys.modules.get(top), "__spec__", None)
    if loaded is None or not loaded.has_location:
        return
    found = PathFinder.find_spec(top)
    if found is not None and found.has_location and _resolved(found.origin) != _resolved(loaded.origin):
        for known in [known for known in sys.modules if known == top or known.startswith(f"{top}.")]:
            del sys.modules[known]


def _resolved(origin: str | None) -> Path:
    return Path(origin or "").resolve()
