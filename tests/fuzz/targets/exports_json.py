"""Exports in JSON and JSON lines, as `results import` reads them."""

from __future__ import annotations

import json

from fuzz.hdf5_files import written
from fuzz.mutate import Mutator, json_text
from fuzz.records import plain_results
from fuzz.target import Target
from lume_services.results import export_results
from lume_services.results.exported import read_export


def _seeds() -> list[str]:
    with written(b"") as path:
        export_results(plain_results(), path, file_format="jsonl")
        records = path.read_text().splitlines()
    return ["[" + ",\n".join(records[:2]) + "]", *records]


def _mutate(mutator: Mutator, seed: str) -> str:
    if mutator.random.random() < 0.3:
        return mutator.text(seed)
    mutator.seeds = [json.loads(one) for one in mutator.seeds]
    return json_text(mutator.tree(json.loads(seed)))


def _read(text: str) -> None:
    with written(text.encode("utf-8", "surrogatepass")) as path:
        list(read_export(path, file_format="json" if text.startswith("[") else "jsonl"))


TARGET = Target("exports_json", _seeds, _mutate, _read, lambda text: text.encode("utf-8", "surrogatepass"),
    lambda data: data.decode("utf-8", "surrogatepass"))  # fmt: skip
