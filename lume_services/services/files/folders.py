"""Folders that are made, and who may look into them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_FOR_THE_USER_ALONE = 0o700


def make_home(folder: Path) -> None:
    """Make the folder `LUME_HOME`, unless it is there.

    In the user's own folder it is for the user alone. Elsewhere its mode is as the umask says, so that a
    group can share it. Where it cannot be made, whoever writes into it tells so.
    """
    with suppress(OSError, RuntimeError):
        own = _is_below(folder, "~")
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=_FOR_THE_USER_ALONE if own else 0o777, exist_ok=True)


def _is_below(folder: Path, above: str) -> bool:
    try:
        own = Path(above).expanduser().resolve()
    except RuntimeError:  # a user without one, as in some containers
        return False
    return own.parent != own and folder.resolve().is_relative_to(own)
