"""The code of a flow, as it is recorded and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """The code of a flow.

    Attributes:
        name: The name of the flow.
        version: Its version, where the user gave one.
        enclosed: The fingerprint of what a flow was made of that was not made by its module alone; or its
            names there, where they are not that of its function.
        modules: The digest of the source of each module of the user that the flow comes to, by name; only
            what it can come to counts.
        versions: The versions of Python and of the distributions that these modules import.
        problem: Why it cannot be shown what the flow runs; None if it can.
    """

    name: str
    version: str | None
    enclosed: str
    modules: Mapping[str, str]
    versions: Mapping[str, str]
    problem: str | None = None

    def differences(self, then: Code) -> list[str]:
        """Return what is different from the code of an earlier run, by name."""
        found = [
            f"{what} was {was or 'not used'} and is {now or 'not used'}"
            for what, was, now in (
                ("its name", then.name, self.name),
                ("its version", then.version, self.version),
                *(
                    (name, then.versions.get(name), self.versions.get(name))
                    for name in _other(self.versions, then.versions)
                ),
            )
            if was != now
        ]
        for name in _other(self.modules, then.modules):
            new, gone = name not in then.modules, name not in self.modules
            found.append(
                f"module {name!r}" + (" is new" if new else " is not imported any more" if gone else "")
            )
        return found + (["the values that it encloses"] if self.enclosed != then.enclosed else [])


def _other(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    return sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
