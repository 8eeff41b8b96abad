"""Exports in HDF5, as `results import` reads them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fuzz.hdf5_files import as_file
from fuzz.records import results
from lume_services.results import export_results
from lume_services.results.exported import read_export


def _seeds() -> list[bytes]:
    records = results()
    seeds = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.h5"
        for start in range(0, len(records), 2):
            export_results(records[start : start + 2], path)
            seeds.append(path.read_bytes())
    return seeds


TARGET = as_file("exports_hdf5", _seeds, lambda path: list(read_export(path)))
