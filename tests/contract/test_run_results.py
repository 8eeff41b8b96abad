"""The values that jobs keep for their callers, and how old ones are removed."""

import os
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from lume_services.errors import EmptyResultError
from lume_services.files.run_results import FOLDER, RunResultSerializer, RunResultStorage, remove_run_results


def age(folder, days):
    moment = time.time() - days * 86_400
    for file in folder.rglob("*"):
        if file.is_file():
            os.utime(file, (moment, moment))


def test_old_values_are_removed_and_an_array_that_was_given_again_stays(lume_context):
    image, other = np.arange(100_000.0), np.ones(100_000)
    storage, serializer = RunResultStorage(filesystem_identifier="local"), RunResultSerializer()
    storage.write_path("old", serializer.dumps({"image": image, "other": other}))
    reference = storage.keep_parameter(other)
    folder = lume_context.file_service().resolve("local", FOLDER)
    age(folder, 10)
    storage.write_path("new", serializer.dumps({"image": image}))

    assert remove_run_results(datetime.now(UTC) - timedelta(days=20)) == 0
    assert (
        remove_run_results(datetime.now(UTC) - timedelta(days=5)) == 3
    )  # old, its other array, the parameter
    np.testing.assert_array_equal(serializer.loads(storage.read_path("new"))["image"], image)
    assert not (folder / "old").exists()
    assert not (folder / "parameters" / reference["$lume_parameter"]).exists()


def test_a_reference_leads_to_kept_values_alone(lume_context, tmp_path):
    storage = RunResultStorage(filesystem_identifier="local")
    assert storage.parameter(storage.keep_parameter((1, "two"))) == (1, "two")
    assert storage.parameter({"x": 1}) == {"x": 1}
    with pytest.raises(EmptyResultError, match="is not the name of a value"):
        storage.parameter({"$lume_parameter": f"../../../{tmp_path}/secret"})
