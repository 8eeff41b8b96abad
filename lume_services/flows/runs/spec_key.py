"""Which specs are the same, as the latest run of a spec is looked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class SpecKey:
    """What a spec is known by: two of one name may have nothing to do with each other.

    Attributes:
        name: Its name.
        project_name: Its project.
        place: Its file, with the folder; for one that was given as a dict, the working directory.
        steps: Of one that was given as a dict: its steps. A file may be edited.
    """

    name: str
    project_name: str | None
    place: str
    steps: tuple[str, ...]

    @classmethod
    def of(
        cls, name: str, project_name: str | None, written: Mapping[str, Any], file: Path | str | None
    ) -> Self:
        """Return the key of a spec.

        Args:
            name: Its name.
            project_name: Its project.
            written: The spec as it was written.
            file: Its file; None for a dict.
        """
        place = str(Path(file).resolve() if file else Path.cwd())
        return cls(name, project_name, place, () if file else _steps(written))

    def __str__(self) -> str:
        project = f" of the project {self.project_name!r}" if self.project_name else ""
        return f"{self.name!r}{project} in {self.place}"


def _steps(written: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a spec says each step is: the names of it and of its flow, and where that is."""
    steps = written.get("composing_flows")
    keys = ("alias", "name", "entrypoint")
    found = [step for step in steps if isinstance(step, Mapping)] if isinstance(steps, list | tuple) else []
    return tuple(" ".join(str(step.get(key) or "") for key in keys) for step in found)
