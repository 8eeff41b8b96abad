"""What a job prints goes through a pipe to its worker, which the job may outlive."""

from __future__ import annotations

import io
import os
import stat
import sys
from typing import TYPE_CHECKING

from typing_extensions import override

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STANDARD_OUTPUT = 1


class _Output(io.FileIO):
    """A pipe whose reader may go."""

    @override
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(data)


def outlive_reader() -> None:
    """Let this process print on when nobody reads it any more, which would end the flow."""
    before = sys.stdout
    if not isinstance(before, io.TextIOWrapper) or not stat.S_ISFIFO(os.fstat(_STANDARD_OUTPUT).st_mode):
        return
    before.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(_STANDARD_OUTPUT, "w", closefd=False)),
        encoding=before.encoding,
        errors=before.errors,
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )
