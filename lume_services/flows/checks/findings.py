"""All that is wrong with a spec, told together and in the order of the source."""

from __future__ import annotations

from lume_services.errors import Problem, SpecError
from lume_services.flows.document import Document
from lume_services.values.written import Loc


class Findings:
    """Collects problems and warnings.

    Args:
        document: The spec that they are about.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._problems = [(place.order, problem) for place, problem in document.problems]
        self._warnings: list[tuple[int, Problem]] = []

    def problem(self, loc: Loc, message: str, remedy: str | None = None) -> None:
        """Add a reason why the spec cannot run."""
        self._problems.append(self._finding(loc, message, remedy))

    def warning(self, loc: Loc, message: str, remedy: str | None = None) -> None:
        """Add something that is probably a mistake."""
        self._warnings.append(self._finding(loc, message, remedy))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The warnings, in the order of the source."""
        return _in_order(self._warnings)

    def raise_problems(self) -> None:
        """Raise all problems as one error, if there are any.

        Raises:
            SpecError: There is at least one.
        """
        if self._problems:
            name = self.document.source or "the spec"
            raise SpecError(f"{name} cannot run", _in_order(self._problems))

    def _finding(self, loc: Loc, message: str, remedy: str | None) -> tuple[int, Problem]:
        return self.document.place(loc).order, Problem(message, self.document.where(loc), remedy)


def _in_order(findings: list[tuple[int, Problem]]) -> tuple[Problem, ...]:
    return tuple(problem for _, problem in sorted(findings, key=lambda finding: finding[0]))
