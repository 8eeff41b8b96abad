"""The records of runs: where the store takes none, and where values are large or of unusual types."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import servers_mongodb
from prefect import flow
from typer.testing import CliRunner

from lume_services.cli.app import app
from lume_services.config import configure, unconfigure
from lume_services.errors import ResultsDBError, RunNotFoundError, StoreUnavailableError
from lume_services.flows import FlowOfFlows
from lume_services.flows.code.code import Code
from lume_services.flows.runs.records import RunRecords, StepRecord
from lume_services.values import fingerprint

RAN: list[int] = []


@flow
def step(x: Any = 1) -> Any:
    RAN.append(1)
    return x


@pytest.fixture
def with_store(tmp_path, lume_context):
    """Configure a results store."""

    def with_store(**store: Any) -> None:
        unconfigure()
        configure({"home": str(tmp_path / "lume"), "results_db": store})

    RAN.clear()
    return with_store


def run() -> Any:
    return FlowOfFlows.from_yaml({"name": "a", "composing_flows": [{"name": "step"}]}, [step]).run()


def test_a_store_that_is_away_is_told_before_a_step_runs(with_store):
    with_store(type="mongodb", host="127.0.0.1", port=9, timeout_seconds=0.5)
    with pytest.raises(StoreUnavailableError, match=r"^mongodb://127.0.0.1:9.*the server cannot be reached"):
        run()
    assert RAN == []


def test_a_store_that_may_only_be_read_is_told_before_a_step_runs(with_store):
    with_store(**servers_mongodb.settings() | {"type": "predecessor"})
    with pytest.raises(ResultsDBError, match="the results of the predecessor can only be read. Copy them"):
        run()
    assert RAN == []


@pytest.mark.parametrize("command", [("runs", "list"), ("rerun", "latest"), ("graph", "--run", "latest")])
def test_the_command_line_tells_that_the_store_is_away(with_store, command):
    with_store(type="mongodb", host="127.0.0.1", port=9, timeout_seconds=0.5)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: mongodb://127.0.0.1:9")


def record(**values: Any) -> StepRecord:
    return StepRecord(
        run_id="run",
        root="root",
        step="step",
        flow="step",
        state="completed",
        code=Code("flow", None, "", {}, {}),
        inputs={},
        parents={},
        began=datetime.now(UTC),
        seconds=1.0,
        **values,
    )


def traced(call: Any) -> int:
    """The greatest number of bytes that a call had at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("place", ["value", "tasks", "given"])
def test_a_large_value_is_stored_without_a_copy_and_read_only_where_it_is_needed(lume_context, place):
    records = RunRecords()
    image = np.random.default_rng(1).normal(size=(2000, 1000))
    kept = record(**{place: image if place == "value" else {"image": image}})
    records.steps("root")  # what the first use of the store needs
    assert traced(lambda: records.end(kept)) < image.nbytes / 4
    assert traced(lambda: records.steps("root")) < image.nbytes / 4
    [found] = records.steps("root")
    back = getattr(records.values(found), place)
    np.testing.assert_array_equal(back if place == "value" else back["image"], image)


def test_equal_large_values_are_kept_once(lume_context, tmp_path):
    records = RunRecords()
    image = np.random.default_rng(2).normal(size=(1000, 1000))
    for _ in range(5):
        records.end(record(value=image))
    sizes = [file.stat().st_size for file in (tmp_path / "lume").rglob("*") if file.is_file()]
    assert sum(sizes) < 1.5 * image.nbytes


class Pair(NamedTuple):
    first: Any
    second: Any


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"x": np.arange(20_000.0), "name": "ß"}),
        (1, [np.arange(30_000), {"a": (np.nan, None)}]),
        {1: "a", ("b", 2): {3, 4}, "$type": b"c"},
        np.array(5.0),
        2**200,
        datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_come_back_as_they_were(lume_context, value):
    records = RunRecords()
    kept = record(value=value, tasks={"task": [value, value]})
    records.end(kept)
    found = records.values(kept)
    assert found.refused is None
    assert type(found.value) is type(value)
    assert fingerprint([found.value, found.tasks["task"]]) == fingerprint([value, [value, value]])


def test_what_cannot_be_stored_is_left_out_and_told(lume_context):
    records = RunRecords()
    kept = record(value=Pair(1, object()), given={"x": object()}, tasks={"task": 1})
    records.end(kept)
    found = records.values(kept)
    assert (found.value, found.tasks, found.given) == (None, {}, {})
    assert "cannot store" in str(found.refused)


def test_a_record_that_was_deleted(lume_context):
    records = RunRecords()
    kept = record()
    records.end(kept)
    records.delete(["root"])
    for read in (lambda: records.step(kept.id), lambda: records.values(kept)):
        with pytest.raises(RunNotFoundError, match="was deleted"):
            read()
