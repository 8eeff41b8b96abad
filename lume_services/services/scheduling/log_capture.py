"""The log lines of a run, taken in this process."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from lume_services.services.scheduling.base import LogEntry

KEPT_LINES = 10_000
_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")

Lines = deque[LogEntry]

_lines: ContextVar[Lines | None] = ContextVar("lume_services_run_log", default=None)


class _Collector(logging.Handler):
    """Appends each record to the log of the run in whose context it was written."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = _lines.get()
        if lines is not None:
            time = datetime.fromtimestamp(record.created, UTC)
            run_name = str(getattr(record, "task_run_name", None) or getattr(record, "flow_run_name", ""))
            lines.append(LogEntry(time, record.levelno, run_name, self.format(record)))


_collector = _Collector()


def new_log() -> Lines:
    """Return an empty log: it keeps the newest lines, `KEPT_LINES` at most."""
    return deque(maxlen=KEPT_LINES)


@contextmanager
def captured(lines: Lines) -> Iterator[None]:
    """Append to `lines` what Prefect's run loggers write in the block, its tasks and subflows included."""
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(_collector)  # a second time has no effect
    token = _lines.set(lines)
    try:
        yield
    finally:
        _lines.reset(token)
