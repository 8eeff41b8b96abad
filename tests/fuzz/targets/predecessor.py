"""The documents of the predecessor, as MongoDB gives them."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import bson
import numpy as np

from fuzz.mutate import Mutator
from fuzz.target import Target
from lume_services.services.results.predecessor.store import _OldRecord
from lume_services.values import decode


def _seeds() -> list[bytes]:
    document: dict[str, Any] = {
        "flow_id": "f",
        "inputs": {"x": 1, "y": [1.5, "a"]},
        "outputs": {"image": pickle.dumps(np.arange(6.0)), "n": 2, "none": None},
        "date_modified": datetime(2024, 1, 31, tzinfo=UTC),
        "unique_hash": "0" * 32,
        "result_type_string": "lume_services.results.generic.Result",
    }
    file = {
        "filename": "a.h5",
        "filesystem_identifier": "local",
        "file_type_string": "lume_services.files.serializers.hdf5:HDF5Serializer",
    }
    return [bson.encode(document), bson.encode({**document, "date_modified": "2024-01-31", "archive": file})]


def _mutate(mutator: Mutator, seed: bytes) -> bytes:
    if mutator.random.random() < 0.4:
        return mutator.bytes(seed)
    mutator.seeds = [bson.decode(one) for one in mutator.seeds]
    try:
        return bson.encode(mutator.tree(bson.decode(seed)))
    except (bson.errors.InvalidDocument, OverflowError, TypeError, ValueError):
        return mutator.bytes(seed)


def _read(content: bytes) -> None:
    decode(_OldRecord("0" * 24, content, b"", "mongodb", "p").document())


TARGET = Target("predecessor", _seeds, _mutate, _read, bytes, bytes)
