"""What is fuzzed: a reader, honest input for it, and how that is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from fuzz.mutate import Mutator

KEPT = Path(__file__).parent / "kept"
MIB = 1 << 20


@dataclass(frozen=True)
class Target:
    """Something that reads.

    Attributes:
        name: Of the target.
        seeds: Makes honest inputs; each is read without an error.
        mutate: Changes one.
        read: Reads one; raises an error of LUME-services, or none.
        to_bytes: What is kept of an input that fails, and given to `of_bytes` to read it again.
        of_bytes: The other way.
        most_bytes: How much memory reading may take, by the size of the input in bytes.
        also: Other errors that a reader may raise: those of the system, as a missing file.
    """

    name: str
    seeds: Callable[[], Sequence[Any]]
    mutate: Callable[[Mutator, Any], Any]
    read: Callable[[Any], object]
    to_bytes: Callable[[Any], bytes]
    of_bytes: Callable[[bytes], Any]
    most_bytes: Callable[[int], int] = lambda size: 48 * MIB + 64 * size
    also: tuple[type[Exception], ...] = ()

    def input(self, number: int, seeds: Sequence[Any]) -> Any:
        """Return the mutation of this number."""
        mutator = Mutator(f"{self.name}:{number}", seeds)
        return self.mutate(mutator, mutator.random.choice(seeds))

    def kept(self) -> Iterator[Path]:
        """Yield the files of inputs that once failed."""
        yield from sorted((KEPT / self.name).glob("*"))


def target_named(name: str) -> Target:
    """Return the target that a module in `targets` is."""
    found: Target = import_module(f"fuzz.targets.{name}").TARGET
    return found


def target_names() -> list[str]:
    """Return the names of all targets."""
    return sorted(path.stem for path in (Path(__file__).parent / "targets").glob("[a-z]*.py"))
