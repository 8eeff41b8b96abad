"""Pickled arrays, as the predecessor kept them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from fuzz.mutate import Mutator
from fuzz.target import Target
from lume_services.services.results.predecessor.pickled_array import read_pickled_array

_ARRAYS: list[Any] = [
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype="i2").reshape(2, 3)),
    np.array(["a", "bcd"]),
    np.array([b"x"]),
    np.array([1, 2], "M8[10ms]"),
    np.zeros(0),
    np.array(1.5),
]


def _seeds() -> list[bytes]:
    return [pickle.dumps(array, protocol) for array in _ARRAYS for protocol in range(6)]


def _mutate(mutator: Mutator, seed: bytes) -> bytes:
    return mutator.bytes(seed)


TARGET = Target("pickled_arrays", _seeds, _mutate, read_pickled_array, bytes, bytes)
