"""The tasks, as they run inside flows on the configured backend."""

import json
import logging
from typing import Any

import numpy as np
import pytest
from lume.model import LUMEModel
from lume.variables import ScalarVariable
from prefect import flow

from lume_services.config import current_context
from lume_services.errors import FileReferenceError, FlowFailedError, ResultNotFoundError, SerializationError
from lume_services.files import File, HDF5File, TextFile, TextResult
from lume_services.results import Result
from lume_services.tasks import (
    check_local_execution,
    configure_lume_services,
    get_db_result,
    get_file_result,
    load_db_result,
    load_file,
    run_lume_model,
    save_db_result,
    save_file,
)
from lume_services.tasks.models import ModelValuesError
from lume_services.values.select import SelectionError


@pytest.fixture
def run(lume_context):
    """Run a function as a flow on the local backend."""

    def run(function, **parameters):
        return lume_context.scheduling_service().run_and_return(flow=flow(function), parameters=parameters)

    return run


def cause_of(run, function):
    with pytest.raises(FlowFailedError) as caught:
        run(function)
    return caught.value.__cause__


@pytest.mark.parametrize("load", [load_file, get_file_result])
def test_file_by_reference_through_json(run, load):
    def files():
        reference = save_file({"a": np.arange(3)}, filename="a.h5", file_type=HDF5File)
        return reference, load(json.loads(json.dumps(reference)))["a"].tolist()

    reference, value = run(files)
    assert value == [0, 1, 2]
    assert reference["filesystem_identifier"] == "local"
    assert reference["size"] > 0


def test_file_result_as_a_handle(run):
    def files():
        return get_file_result(TextResult.model_validate(save_file("text", filename="a.txt")))

    assert run(files) == "text"


def test_a_users_serializer_in_save_file_and_get_file_result(run):
    class Reversed:
        def serialize(self, filename, data):
            with open(filename, "w") as file:
                file.write(data[::-1])

        @classmethod
        def deserialize(cls, filename):
            with open(filename) as file:
                return file.read()[::-1]

    def files():
        reference = save_file("abc", filename="a", file_type=File[Reversed])
        return TextFile(filename="a").read(), get_file_result(reference)

    assert run(files) == ("cba", "abc")


def test_the_real_error_reaches_the_caller(run):
    assert isinstance(cause_of(run, lambda: save_file(3, filename="a.txt")), SerializationError)


def result():
    return Result(project_name="p", inputs={"x": 1}, outputs={"y": {"z": [1.5, 2.5]}, "X.VAL": 3})


def test_result_by_reference_through_json(run):
    def results():
        reference = json.loads(json.dumps(save_db_result(result())))
        save_db_result(result())
        return (
            load_db_result(reference, attribute_index=["outputs", "y", "z", 1]),
            load_db_result(reference, attribute_index=["outputs", "X.VAL"]),
            load_db_result(reference).inputs,
            get_db_result(reference).outputs["X.VAL"],
        )

    assert run(results) == (2.5, 3, {"x": 1}, 3)
    assert current_context().results_db_service().count(collection="p") == 1


def test_without_attribute_index_the_whole_result(run):
    """TSK-3."""

    def results():
        return type(load_db_result(save_db_result(result()), attribute_index=None)).__name__

    assert run(results) == "Result"


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (["output", "y"], "Did you mean 'outputs'"),
        (["outputs", "z"], "Choose one of: X.VAL, y"),
        (["outputs", "y", "z", 2], "positions 0 to 1"),
        (["outputs", "y", "z", 0, "q"], "nothing inside"),
    ],
)
def test_a_mistyped_attribute_index_is_an_error(run, index, message):
    """TSK-4: the predecessor returned the whole result."""
    error = cause_of(run, lambda: load_db_result(save_db_result(result()), attribute_index=index))
    assert isinstance(error, SelectionError)
    assert message in str(error)


@pytest.mark.parametrize(
    "reference",
    [{"query": {}}, "text", {"project_name": 1, "query": {}, "result_type_string": "a"},
     {"project_name": "p", "query": [], "result_type_string": "a"},
     {"project_name": "p", "query": {}, "result_type_string": ["a"]}],
)  # fmt: skip
def test_what_is_no_reference_is_refused(run, reference):
    """TSK-5: text is neither documented nor accepted."""
    error = cause_of(run, lambda: load_db_result(reference))
    assert isinstance(error, ResultNotFoundError)
    assert "no reference to a result" in str(error)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("text", "it is of type str"),
        ({"filename": 3, "file_type_string": "a:B"}, "filename: Input should be a valid string"),
        ({"filename": "a", "more": 1}, "more: Extra inputs are not permitted"),
        ({"filename": "a"}, "write FileResult"),
    ],
)
def test_what_is_no_reference_to_a_file_is_refused(run, reference, message):
    error = cause_of(run, lambda: load_file(reference))
    assert isinstance(error, FileReferenceError)
    assert message in str(error)


def test_task_options_are_prefects_own(run):
    """TSK-2, TSK-7: tasks are plain, so their options can be set, and nothing is shared."""
    renamed = save_file.with_options(name="save_text_file", log_prints=False, retries=1)
    assert save_file.name == "save_file"
    assert (renamed.name, renamed.retries) == ("save_text_file", 1)
    assert run(lambda: load_file(renamed("x", filename="a.txt"))) == "x"


def test_an_array_argument_is_not_hashed_for_a_cache(run):
    """A second save of the same object is a second write, not a cached value."""

    def files():
        save_file("one", filename="a.txt")
        TextFile(filename="a.txt").write("other")
        save_file("one", filename="a.txt")
        return TextFile(filename="a.txt").read()

    assert run(files) == "one"


def test_configure_keeps_what_is_configured_and_logs_no_secret(run, lume_context, caplog, monkeypatch):
    """TSK-1, TSK-6."""
    monkeypatch.setenv("LUME_RESULTS_DB__PASSWORD", "s3cret")

    def configured():
        configure_lume_services()
        return check_local_execution(), str(current_context().settings().home)

    with caplog.at_level(logging.DEBUG):
        assert run(configured) == (True, str(lume_context.settings().home))
    assert "s3cret" not in caplog.text


class Quadrupole(LUMEModel):
    """Focal length of a thin quadrupole."""

    def __init__(self):
        self._values = {"gradient": 1.0, "energy": 135e6, "focal_length": 0.0}
        self.runs = 0

    @property
    def supported_variables(self):
        return {
            "gradient": ScalarVariable(name="gradient", default_value=1.0, value_range=(-50, 50), unit="T/m"),
            "energy": ScalarVariable(name="energy", default_value=135e6),
            "focal_length": ScalarVariable(name="focal_length", read_only=True, unit="m"),
        }

    def _get(self, names):
        return {name: self._values[name] for name in names}

    def _set(self, values):
        self._values.update(values)
        self._values["focal_length"] = self._values["energy"] / 299792458 / self._values["gradient"] / 0.1
        self.runs += 1

    def reset(self):
        self.__init__()


def test_run_lume_model(run, lume_context):
    model = Quadrupole()

    def both() -> Any:
        plain = run_lume_model(model, {"gradient": 4.0})
        stored = run_lume_model(model, {"gradient": 2.0}, ["focal_length", "gradient"], project_name="quads")
        return plain, stored

    plain, stored = run(both)
    assert plain.keys() == {"focal_length"}
    assert stored == {"focal_length": pytest.approx(2 * plain["focal_length"]), "gradient": 2.0}
    found = Result.latest("quads")
    assert found.inputs == {"gradient": 2.0}
    assert found.outputs == stored
    assert found.provenance.flow_name == "both"


def test_run_lume_model_refuses_all_at_once_and_runs_nothing(run):
    model = Quadrupole()
    values = {"gradiant": 1.0, "focal_length": 1.0, "gradient": "strong"}
    error = cause_of(run, lambda: run_lume_model(model, values, ["focal_lenght"]))
    assert isinstance(error, ModelValuesError)
    text = str(error)
    assert len(error.problems) == 4
    assert "Did you mean 'gradient'?" in text
    assert "read-only" in text
    assert "Did you mean 'focal_length'?" in text
    assert model.runs == 0
