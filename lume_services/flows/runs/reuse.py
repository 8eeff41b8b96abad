"""Which steps of a run are done already, and why the others are not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lume_services.errors import LUMEServicesError
from lume_services.files import load_reference
from lume_services.flows.runs.identity import Identity
from lume_services.flows.runs.records import RunRecords, StepRecord
from lume_services.results import load_result
from lume_services.values.references import references

_FILE, _RESULT = "file_type_string", "result_type_string"


@dataclass(frozen=True)
class Decision:
    """Whether a step is done already.

    Attributes:
        record: The earlier run of the step, with its values; None if the step has to run.
        why: The reason, as half a sentence.
        anew: The step has to run although nothing has changed, so that no run of it counts that was started
            before.
    """

    record: StepRecord | None
    why: str
    anew: bool = False


class EarlierSteps:
    """The steps that ended in earlier runs of the same root.

    Args:
        records: The records of all runs.
        steps: What ended, the last first.
        again: The steps that are to run again in any case, with the reason.
        own: The ids of the steps that ended in an earlier attempt of the same run, in this process: their
            code is the same, whatever can be shown of it.
    """

    def __init__(
        self,
        records: RunRecords,
        steps: Sequence[StepRecord] = (),
        again: Mapping[str, str] | None = None,
        own: Collection[str] = (),
    ) -> None:
        self._records = records
        self._again = again or {}
        self._own = own
        self._steps: dict[str, list[StepRecord]] = {}
        for step in steps:
            self._steps.setdefault(step.step, []).append(step)

    def decide(self, identity: Identity, tasks: Collection[str]) -> Decision:
        """Decide whether a step has to run.

        Args:
            identity: The step, its code and what goes in.
            tasks: The tasks whose values are asked for.
        """
        if identity.step in self._again:
            return Decision(None, self._again[identity.step], anew=True)
        earlier = self._steps.get(identity.step, [])
        completed = [step for step in earlier if step.state == "completed"]
        if not completed:
            return Decision(None, "it failed before" if earlier else "it has not run before")
        if identity.inputs is not None:
            for step in completed:
                if step.id in self._own and step.inputs == identity.inputs:
                    return self._usable(step, tasks)
        if identity.problem is not None:
            return Decision(None, identity.problem, anew=True)
        for step in completed:
            if not _differences(identity, step):
                return self._usable(step, tasks)
        return Decision(None, " and ".join(_differences(identity, completed[0])))

    def _usable(self, step: StepRecord, tasks: Collection[str]) -> Decision:
        if step.refused is not None:
            return Decision(None, f"its value could not be stored: {step.refused}", anew=True)
        try:
            found = self._records.values(step)
            missing = sorted(set(tasks) - found.tasks.keys())
            if missing:
                return Decision(None, f"the value of its task {missing[0]!r} was not kept", anew=True)
            _check_references([found.value, found.tasks])
        except (LUMEServicesError, OSError) as error:
            reason = error.message if isinstance(error, LUMEServicesError) else str(error)
            return Decision(None, f"what it gave is not there any more: {reason}", anew=True)
        return Decision(found, f"its inputs and its code are those of run {step.run_id}")


def _differences(identity: Identity, step: StepRecord) -> list[str]:
    """Return what is different from an earlier run of a step."""
    if step.inputs is None:
        return ["its parameters could not be compared before"]
    now, then = identity.inputs or {}, step.inputs
    found = [f"its parameter {name!r} is new" for name in now.keys() - then.keys()]
    found += [f"its parameter {name!r} is gone" for name in then.keys() - now.keys()]
    found += [
        f"its parameter {name!r} has changed" for name in now if name in then and now[name] != then[name]
    ]
    if step.code.problem is not None:
        found.append(f"its code was not certain before: {step.code.problem}")
    elif changed := identity.code.differences(step.code):
        found.append(f"the code of its flow has changed: {', '.join(changed)}")
    return sorted(found)


def _check_references(value: Any) -> None:
    """Look whether the files and results that a value refers to are there, and the same.

    Raises:
        LUMEServicesError, FileNotFoundError: One is not.
    """
    for reference in references(value, _FILE):
        load_reference(reference).verify()
    for reference in references(value, _RESULT):
        load_result(reference)
