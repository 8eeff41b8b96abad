"""Where a result comes from: the step that made it, the steps before that, and the run of them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lume_services.errors import ResultCorruptError, RunNotFoundError
from lume_services.flows.load import load_spec
from lume_services.flows.plan import Plan
from lume_services.flows.runs.records import RunRecord, RunRecords, StepRecord
from lume_services.values import fingerprint


@dataclass(frozen=True)
class Ancestor:
    """A step that a result depends on.

    Attributes:
        record: Its record.
        parents: The steps that gave it values, by the parameter that took the value.
    """

    record: StepRecord
    parents: Mapping[str, Ancestor]

    def as_data(self) -> dict[str, Any]:
        """Return the same as plain data, for JSON."""
        step = self.record
        return {
            "step": step.step,
            "flow": step.flow,
            "code": vars(step.code),
            "inputs": dict(step.inputs or {}),
            "given": dict(step.given),
            "run_id": step.run_id,
            "flow_run_id": step.flow_run_id,
            "began": step.began,
            "seconds": step.seconds,
            "parents": {parameter: parent.as_data() for parameter, parent in self.parents.items()},
        }


@dataclass(frozen=True)
class Lineage:
    """Where a result comes from.

    Attributes:
        result: The id, project, hash and provenance of the result.
        run: The run of the flow-of-flows in which it was made; None for a flow that ran by itself.
        step: The step that made it; None likewise.
    """

    result: Mapping[str, Any]
    run: RunRecord | None
    step: Ancestor | None

    @property
    def spec_fingerprint(self) -> str | None:
        """The fingerprint of the spec, which is the same wherever it was run."""
        return fingerprint(dict(self.run.spec)) if self.run else None

    def as_data(self) -> dict[str, Any]:
        """Return the same as plain data, for JSON."""
        run = self.run
        return {
            "result": dict(self.result),
            "run": None
            if run is None
            else {
                "run_id": run.run_id,
                "root": run.root,
                "spec": run.name,
                "spec_fingerprint": self.spec_fingerprint,
                "parameters": run.parameters,
                "backend": run.backend,
                "began": run.began,
                "provenance": dict(run.provenance),
            },
            "step": None if self.step is None else self.step.as_data(),
        }


def lineage(record: Mapping[str, Any], records: RunRecords | None = None) -> Lineage:
    """Return where a result comes from.

    Args:
        record: The result, as the store gives it.
        records: The records of all runs.
    """
    records = records or RunRecords()
    provenance = dict(record.get("provenance") or {})
    known = {name: record.get(name) for name in ("_id", "project_name", "unique_hash", "date_modified")}
    result = {**known, "provenance": provenance}
    flow_run_id = provenance.get("step_run_id")
    step = records.step_of(flow_run_id) if flow_run_id else None
    if step is None:
        return Lineage(result, None, None)
    return Lineage(result, records.run(step.run_id), _Ancestors(records).of(step))


def run_of(record: Mapping[str, Any], records: RunRecords) -> RunRecord:
    """Return the run in which a result was made.

    Raises:
        RunNotFoundError: It was made by a flow that ran by itself, or its run was deleted.
    """
    found = lineage(record, records).run
    if found is None:
        raise RunNotFoundError(
            "no run of a flow-of-flows is known that has made this result.",
            where=f"result {record['_id']}",
            remedy="`lume-services runs list` lists the runs.",
        )
    return found


class _Ancestors:
    """The steps before a step, each read once."""

    def __init__(self, records: RunRecords) -> None:
        self._records = records
        self._plans: dict[str, Plan] = {}
        self._found: dict[str, Ancestor] = {}
        self._above: set[str] = set()

    def of(self, step: StepRecord) -> Ancestor:
        if step.id not in self._found:
            if step.id in self._above:
                raise _no_lineage(step, "it depends on itself")
            self._above.add(step.id)
            by_step = {name: self._records.step(record_id) for name, record_id in step.parents.items()}
            edges = self._plan(step.run_id).into(step.step)
            if unknown := {edge.parent for edge in edges} - by_step.keys():
                raise _no_lineage(step, f"it does not say what {', '.join(sorted(unknown))} was")
            parents = {edge.parameter: self.of(by_step[edge.parent]) for edge in edges}
            self._found[step.id] = Ancestor(step, parents)
        return self._found[step.id]

    def _plan(self, run_id: str) -> Plan:
        if run_id not in self._plans:
            spec = self._records.run(run_id).spec
            self._plans[run_id] = Plan.from_spec(load_spec(spec))
        return self._plans[run_id]


def _no_lineage(step: StepRecord, why: str) -> ResultCorruptError:
    return ResultCorruptError(
        f"the record of the step {step.step!r} is not one that a run has written: {why}.",
        where=f"record {step.id}",
        remedy="Delete the run: `lume-services runs delete` with its id.",
    )
