"""The types of results, known by their names; nothing is imported by a name in data."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lume_services.errors import ResultTypeNotRegistered
from lume_services.results import (
    ImpactResult,
    Result,
    get_result_from_string,
    get_result_types,
    load_result,
)
from lume_services.services.results import ResultsDBService
from lume_services.services.results.file import FileResultsDB
from lume_services.values import register_type


class Outer(Result):
    class Detail(Result):
        level: int = 1


class Handle:
    """Stands for a `File`, which results do not import."""

    def __init__(self, filename: str) -> None:
        self.filename = filename

    def jsonable_dict(self) -> dict[str, Any]:
        return {"filename": self.filename}


register_type("tests.Handle", Handle, Handle.jsonable_dict, lambda parts: Handle(**parts))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ResultsDBService]:
    with FileResultsDB(tmp_path / "store") as store:
        yield ResultsDBService(lambda: store)


def test_types_by_name() -> None:
    """UTL-10, UTL-13: nested classes, and every key of `get_result_types`."""
    for name, known in get_result_types().items():
        assert get_result_from_string(name) is known
    assert get_result_from_string("lume_services.results.impact:ImpactResult") is ImpactResult
    assert get_result_from_string(f"{__name__}:Outer.Detail") is Outer.Detail


@pytest.mark.parametrize("name", ["json:loads", "os:system", "lume_services.results.result:Resutl", "", "x"])
def test_what_is_not_a_known_result_is_an_error(name: str) -> None:
    """UTL-12."""
    with pytest.raises(ResultTypeNotRegistered, match="is not known here"):
        get_result_from_string(name)


def test_a_name_in_data_imports_nothing(tmp_path: Path, service: ResultsDBService) -> None:
    """UTL-11."""
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    sys.path.insert(0, str(tmp_path))
    try:
        service.insert_one({"result_type_string": "evil:R"}, collection="p")
        for load in (
            lambda: get_result_from_string("evil:R"),
            lambda: Result.load_from_query("p", {}, service),
            lambda: load_result({"project_name": "p", "query": {}, "result_type_string": "evil:R"}, service),
        ):
            with pytest.raises(ResultTypeNotRegistered, match="import that module first"):
                load()
    finally:
        sys.path.remove(str(tmp_path))
    assert "evil" not in sys.modules


def test_the_type_is_that_of_the_class() -> None:
    with pytest.raises(ValidationError, match="the result type is"):
        Outer.Detail(result_type_string="lume_services.results.result:Result")


def test_impact_result(service: ResultsDBService) -> None:
    collected = datetime(2024, 1, 31, 12, tzinfo=timezone(timedelta(hours=-8)))
    result = ImpactResult(
        project_name="p",
        inputs={"x": 1.0},
        outputs={"sigma_x": 1e-4},
        archive=Handle("archive.h5"),
        pv_collection_isotime=collected,
        config={"n_particle": 10_000, "grid": (8, 8, 8)},
    )
    result.insert(service)
    loaded = ImpactResult.load_from_query("p", {"archive.filename": "archive.h5"}, service)
    assert loaded == result
    assert isinstance(loaded.archive, Handle)
    assert loaded.plot_file is None
    assert loaded.pv_collection_isotime == collected
    assert loaded.config["grid"] == (8, 8, 8)
    assert ImpactResult.model_validate_json(result.model_dump_json()) == result
    with pytest.raises(ValidationError, match="FileHandle"):
        ImpactResult(archive="archive.h5", pv_collection_isotime=collected, config={})


def test_importing_results_is_light() -> None:
    code = (
        "import sys, lume_services.results, lume_services.services.results;"
        "heavy = {'prefect', 'numpy', 'pandas', 'h5py', 'pymongo', 'lume', 'pyarrow', 'sqlite3'};"
        "print(*heavy & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == []
