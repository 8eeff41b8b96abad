"""What the points of a scan share, and one part of the work: plain data, for another process or machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from lume_services.errors import BackendError, NotAFlowError, Problem, SpecError
from lume_services.flows.check import CheckedSpec
from lume_services.flows.code.code import Code
from lume_services.flows.code.read import code_of
from lume_services.flows.resolve import importable_from
from lume_services.flows.scans.points import Point
from lume_services.flows.scans.typed import step_and_parameter
from lume_services.flows.travel import portable
from lume_services.services.results.record import hash_of
from lume_services.services.results.service import INTERNAL, is_internal
from lume_services.values import decode, dumps, encode, fingerprint, loads

Values = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Job:
    """A scan without its points.

    Attributes:
        spec: The spec as it was written, with the entrypoint of every step.
        folder: The folder of its file: modules beside it are found there.
        parameters: The values for all points, by step and parameter.
        keys: The parameters that differ from point to point, as `track.k1`.
        scan_id: The fingerprint of the spec, of the values for all points, and of the code of the flows.
        code: The digests of the modules of the user that the flow of each step comes to, by step.
        problem: Why this scan takes no point of an earlier one: it is not certain what code runs.
        collection: Where the results are stored.
        failed: Where the points that failed are stored.
    """

    spec: Mapping[str, Any]
    folder: str | None
    parameters: Values
    keys: tuple[str, ...]
    scan_id: str
    code: Mapping[str, Mapping[str, str]]
    problem: str | None
    collection: str
    failed: str

    @classmethod
    def of(
        cls, checked: CheckedSpec, parameters: Values, keys: Sequence[str], collection: str | None
    ) -> Self:
        """Return the job of a spec.

        Args:
            checked: The spec and its flows.
            parameters: The values for all points.
            keys: The parameters to scan over.
            collection: Where to store the results; by default `PROJECT.scan`.

        Raises:
            NotAFlowError: No other process could import the flow of a step.
            SpecError: The collection is not for results.
            EncodeError: A value in the spec or for all points cannot be stored.
        """
        collection = collection or f"{checked.spec.project_name or checked.spec.name}.scan"
        if is_internal(collection):
            message = (
                f"the collection {collection!r} would begin with {INTERNAL!r}, as the records of runs do."
            )
            raise SpecError("the scan cannot be stored", [Problem(message, remedy="Give it another name.")])
        folder = checked.document.folder
        code = codes_of(checked, folder)
        problem = next((f"step {name!r}: {one.problem}" for name, one in code.items() if one.problem), None)
        shared = {
            "spec": checked.spec.model_dump(),
            "parameters": dict(parameters),
            "code": {name: vars(one) for name, one in code.items()},
            "only": uuid4().hex if problem else "",
        }
        return cls(
            spec=_portable(checked),
            folder=str(folder) if folder else None,
            parameters=parameters,
            keys=tuple(keys),
            scan_id=fingerprint(shared),
            code={name: one.modules for name, one in code.items()},
            problem=problem,
            collection=collection,
            failed=f"{collection}.failed",
        )

    def check_code(self, checked: CheckedSpec) -> None:
        """Check that this process runs the code that the scan was begun with.

        Raises:
            BackendError: A module of the user is another one here, or has been edited meanwhile.
        """
        for name, code in codes_of(checked, Path(self.folder) if self.folder else None).items():
            begun = replace(code, modules=self.code[name])
            if changed := code.differences(begun):
                raise BackendError(
                    f"the code of step {name!r} has changed since the scan was begun: {', '.join(changed)}.",
                    remedy="Begin the scan again: it takes the points of this code that are stored.",
                )

    def inputs(self, point: Point) -> dict[str, dict[str, Any]]:
        """Return the values of a point by step and parameter."""
        inputs: dict[str, dict[str, Any]] = {}
        for key, value in zip(self.keys, point, strict=True):
            step, parameter = step_and_parameter(key)
            inputs.setdefault(step, {})[parameter] = value
        return inputs

    def unique_hash(self, point: Point) -> str:
        """Return what identifies a point: the scan's shared part, and its values."""
        return hash_of({"scan_id": self.scan_id, "inputs": self.inputs(point)})


@dataclass(frozen=True)
class Chunk:
    """Points that run in one flow run.

    Attributes:
        number: Of the chunk.
        points: The points.
        one_by_one: Whether each is stored before the next begins. At which one a job has ended can then be
            told.
    """

    number: int
    points: Sequence[Point]
    one_by_one: bool = False


@dataclass(frozen=True)
class FailedPoint:
    """A point that failed.

    Attributes:
        index: Its position in the chunk.
        error: Why, with the place.
        step: The step that failed, or None where that is not known.
    """

    index: int
    error: str
    step: str | None = None


@dataclass(frozen=True)
class Progress:
    """What has become of points of a chunk.

    Attributes:
        chunk: The number of the chunk.
        stored: The positions of the points whose results are stored.
        failed: The points that failed; they are stored, too.
        rate: The points per second of the whole chunk, when it has ended; None before.
    """

    chunk: int
    stored: Sequence[int] = ()
    failed: Sequence[FailedPoint] = field(default_factory=tuple)
    rate: float | None = None


def codes_of(checked: CheckedSpec, folder: Path | None) -> dict[str, Code]:
    """Return the code of each step, as the files are now: points run in processes that load them."""
    steps = {step.step: step for step in checked.spec.composing_flows}
    with importable_from(folder):
        return {
            name: code_of(flow, steps[name].entrypoint, elsewhere=True)
            for name, flow in checked.flows.items()
        }


def to_text(item: Job | Chunk | Progress) -> str:
    """Return plain data as text, for another process."""
    return dumps(encode(asdict(item)))


def job_of(text: str) -> Job:
    """Return the job from its text."""
    return Job(**decode(loads(text)))


def chunk_of(text: str) -> Chunk:
    """Return the chunk from its text."""
    return Chunk(**decode(loads(text)))


def progress_of(text: str) -> Progress:
    """Return the progress from its text."""
    found = decode(loads(text))
    failed = [FailedPoint(**one) for one in found["failed"]]
    return Progress(found["chunk"], found["stored"], failed, found["rate"])


def _portable(checked: CheckedSpec) -> dict[str, Any]:
    try:
        return portable(checked)
    except NotAFlowError as error:
        remedy = "Define it at the top of a module, and import it from there: points run in other processes."
        raise NotAFlowError(error.message, where=error.where, remedy=remedy) from error
