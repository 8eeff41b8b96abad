"""What lies in the folder of a `file` store."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from lume_services.services.results.file import FileResultsDB


def blob_files(store: FileResultsDB) -> list[Path]:
    """Return the files of its blobs."""
    return sorted(path for path in (store.path / "blobs").rglob("*") if path.is_file())


def execute(store: FileResultsDB, statement: str, *parameters: Any) -> None:
    """Change its database behind its back; something must have changed."""
    store.close()
    connection = sqlite3.connect(store.path / "results.sqlite")
    with connection:
        assert connection.execute(statement, parameters).rowcount
    connection.close()
