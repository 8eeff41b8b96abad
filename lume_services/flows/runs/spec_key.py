"""Which specs are the same, as the latest run of a spec is looked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lume_services.flows.spec import Spec


@dataclass(frozen=True)
class SpecKey:
    """What a spec is known by: two of one name may have nothing to do with each other.

    Attributes:
        name: Its name.
        project_name: Its project.
        file: Its file, with the folder; None if it was given as a dict.
        steps: Of one that was given as a dict: its steps.
    """

    name: str
    project_name: str | None
    file: str | None
    steps: tuple[str, ...]

    @classmethod
    def of(cls, spec: Spec, file: Path | str | None) -> Self:
        """Return the key of a spec."""
        path = str(Path(file).resolve()) if file else None
        return cls(spec.name, spec.project_name, path, steps_of(spec.model_dump()))

    def is_same(self, other: SpecKey) -> bool:
        """Return whether another spec is certainly this one, which may have been edited."""
        same = (self.name, self.project_name, self.file) == (other.name, other.project_name, other.file)
        return same and (self.file is not None or self.steps == other.steps)

    def __str__(self) -> str:
        project = f" of the project {self.project_name!r}" if self.project_name else ""
        return f"{self.name!r}{project}" + (f" in {self.file}" if self.file else "")


def steps_of(written: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a spec says each step is: the names of it and of its flow, and where that is."""
    steps = written.get("composing_flows")
    keys = ("alias", "name", "entrypoint")
    found = [step for step in steps if isinstance(step, Mapping)] if isinstance(steps, list | tuple) else []
    return tuple(" ".join(str(step.get(key)) for key in keys) for step in found)
