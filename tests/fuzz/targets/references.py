"""References to files and results, as tasks return them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from fuzz.mutate import Mutator, json_text
from fuzz.target import Target
from lume_services.config import configure
from lume_services.files import HDF5File, TextFile
from lume_services.results import Result
from lume_services.tasks import get_db_result, get_file_result, load_db_result, load_file

_home = tempfile.TemporaryDirectory()


def _seeds() -> list[Any]:
    configure({"home": _home.name, "results_db": {"type": "file", "path": f"{_home.name}/store"}})
    result = Result(project_name="p", inputs={"x": 1}, outputs={"y": 2})
    result.insert()
    text = TextFile(filename=str(Path(_home.name) / "a.txt")).write("text").jsonable_dict()
    value = HDF5File(filename="a.h5").write({"a": [1, 2]}).jsonable_dict()
    return [text, value, {**text, "checksum": None}, result.unique_rep()]


def _mutate(mutator: Mutator, seed: Any) -> str:
    return json_text(mutator.tree(seed))


def _read(given: Any) -> None:
    reference = json.loads(given) if isinstance(given, str) else given
    is_file = isinstance(reference, dict) and "filename" in reference
    for task in (load_file, get_file_result) if is_file else (load_db_result, get_db_result):
        task.fn(reference)


def _text(given: Any) -> str:
    return given if isinstance(given, str) else json_text(given)


TARGET = Target(
    "references",
    _seeds,
    _mutate,
    _read,
    lambda given: _text(given).encode("utf-8", "surrogatepass"),
    lambda data: data.decode("utf-8", "surrogatepass"),
    also=(OSError,),
)
