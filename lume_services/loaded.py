"""What the files of modules were when they were loaded.

Python does not remember it, and after an edit the file is no longer what runs. Whoever tells what code has
given a value has to know. The watch begins when `lume_services` is imported.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from importlib.util import cache_from_source
from types import ModuleType
from typing import NamedTuple

State = tuple[int, int, int, int]
"""Of a file: times of modification and change in nanoseconds, size, number. An edit changes it."""

_PROCESS = os.getpid()  # a process that is forked has the modules of this one
_TICK = 0.01  # the kernel counts the start of processes in these; Python takes longer to read its first file
_PLACES = re.compile(rf"site-packages|dist-packages|{re.escape(sysconfig.get_path('stdlib'))}")


def state_of(file: str) -> State:
    """Return the state of a file.

    Raises:
        OSError: It is not there.
    """
    found, link = os.stat(file), os.lstat(file)  # noqa: PTH116 - this is called at every import
    return found.st_mtime_ns, max(found.st_ctime_ns, link.st_ctime_ns), found.st_size, found.st_ino


class Sought(NamedTuple):
    """That a module was looked for, which Python does right before it loads it.

    Attributes:
        time: When, by the clock that stamps files.
        file: The file that it will be loaded from; None in folders of installed packages and elsewhere.
        state: The state of that file; None if old bytecode lies beside it that cannot be removed.
        number: Counts what was looked for.
        during: For a module that was looked for before: the modules that were being loaded at that time.
    """

    time: int
    file: str | None
    state: State | None
    number: int
    during: frozenset[str] | None


class _Watch:
    """A finder of modules that finds none, but takes note of what is looked for."""

    def __init__(self) -> None:
        self.sought: dict[str, Sought] = {}
        self.count = 0

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        """Take note of a module that is about to be loaded."""
        del target
        now = _now()
        file = state = None
        with suppress(OSError):  # an import is never to fail for this
            file = _file_of(name.rpartition(".")[2], sys.path if path is None else path)
            state = _state_without_old_bytecode(file) if file else None
        again = name in sys.modules or (file is not None and name in self.sought)
        during = frozenset(_being_loaded()) if again else None
        self.sought[name] = Sought(now, file, state, self.count, during)
        self.count += 1


_watch = _Watch()


def watch() -> None:
    """Begin to take note of the modules that are loaded."""
    if _watch not in sys.meta_path:
        sys.meta_path.insert(0, _watch)


def sought(name: str) -> Sought | None:
    """Return when a module was last looked for; None if that was before the watch began."""
    return _watch.sought.get(name)


def watched() -> set[str]:
    """Return the modules that are loaded of files that are no installed package's."""
    return {name for name, one in _watch.sought.items() if one.file is not None and name in sys.modules}


def as_loaded(name: str, file: str) -> bool:
    """Return whether a file is certainly the one that a module was loaded from, and unchanged.

    Raises:
        OSError: The file is not there.
    """
    state = state_of(file)
    found = sought(name)
    if found is not None and found.file == file:
        return found.state == state
    since = _process_start() if found is None else found.time
    return state[1] < since and _state_without_old_bytecode(file) == state


def loaded_again(importer: str, imported: str) -> bool:
    """Return whether a module was loaded once more after one that imports it, and has the former one."""
    last, first = sought(imported), sought(importer)
    if importer not in sys.modules or last is None or last.during is None:
        return False
    return importer not in last.during and (first is None or first.number < last.number)


def _state_without_old_bytecode(file: str) -> State | None:
    """Return the state of a file, without bytecode beside it that may be older; None if that stays.

    Python takes bytecode for that of its file by the full second and the size: an edit that leaves both as
    they were would never be loaded.
    """
    state = state_of(file)
    try:
        bytecode = cache_from_source(file)
        if state_of(bytecode)[0] <= state[1]:
            os.unlink(bytecode)  # noqa: PTH108
    except FileNotFoundError:
        return state
    except (OSError, NotImplementedError):
        return None
    return state


def _being_loaded() -> list[str]:
    return [
        name
        for name, module in list(sys.modules.items())
        if getattr(getattr(module, "__spec__", None), "_initializing", False)
    ]


def _file_of(name: str, folders: Iterable[object]) -> str | None:
    for folder in folders:
        if not isinstance(folder, str) or _PLACES.search(folder):
            continue
        for tail in (f"{name}/__init__.py", f"{name}.py"):
            file = f"{folder or os.getcwd()}/{tail}"  # noqa: PTH109
            if os.path.isfile(file):  # noqa: PTH113
                return file
    return None


def _now() -> int:
    # On Linux files are stamped by a clock of their own, which is some milliseconds late.
    clock = getattr(time, "CLOCK_REALTIME_COARSE", None)
    return time.time_ns() if clock is None else time.clock_gettime_ns(clock)


@cache
def _process_start() -> int:
    """Return a time before this process loaded any module; 0 where none is known."""
    import psutil

    try:
        began = psutil.Process(_PROCESS).create_time()
    except psutil.Error:
        return 0
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    if boottime is not None:  # Linux: the time since it was booted is exact, when that was is not
        began += time.time() - time.clock_gettime(boottime) - psutil.boot_time()
    return int((began + _TICK) * 1e9)
