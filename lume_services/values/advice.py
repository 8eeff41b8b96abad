"""What to do with a value that cannot be stored."""

from __future__ import annotations

import dataclasses
import io
import types
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, time
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import Any

_ADVICE_BY_PACKAGE = {
    "torch": "convert it to an array first: value.detach().cpu().numpy().",
    "tensorflow": "convert it to an array first: value.numpy().",
    "jax": "convert it to an array first: numpy.asarray(value).",
    "jaxlib": "convert it to an array first: numpy.asarray(value).",
    "scipy": "convert it to an array first: value.toarray().",
    "xarray": "convert it to a dict of arrays first: value.to_dict(data='array').",
    "h5py": "read it first: value[()].",
    "polars": "convert it to pandas first: value.to_pandas().",
    "pyarrow": "convert it to pandas first: value.to_pandas().",
    "prefect": "store its result: value.result().",
    "numpy": "convert it to a plain array first: numpy.asarray(value), or value.filled() where it is masked.",
    "pandas": "convert it to a NumPy array or to plain values first.",
}
# The first that fits decides.
_ADVICE_BY_CLASS: tuple[tuple[tuple[type, ...], str], ...] = (
    (
        (types.FunctionType, types.BuiltinFunctionType, types.MethodType),
        "store what it returns, or its name.",
    ),
    ((type, types.ModuleType), "store its name."),
    ((types.CoroutineType,), "await it first."),
    ((io.IOBase,), "store its content, or its path."),
    ((BaseException,), "convert it to text first: str(value)."),
    ((Iterator,), "convert it to a list first: list(value)."),
    ((bytearray, memoryview), "convert it to bytes first: bytes(value)."),
    ((time,), "convert it to text first: value.isoformat()."),
    ((datetime,), "convert it to a plain datetime first."),
    ((Decimal, Fraction), "convert it to text, str(value), or to a float."),
    ((PurePath, str), "convert it to plain text first: str(value)."),
    ((int,), "convert it to a plain number first: int(value)."),
    ((float,), "convert it to a plain number first: float(value)."),
    ((complex,), "convert it to a plain number first: complex(value)."),
    ((bytes,), "convert it to plain bytes first: bytes(value)."),
    ((Mapping,), "convert it to a dict first: dict(value)."),
    ((tuple,), "convert it to a tuple or a dict first: tuple(value), value._asdict()."),
    ((Iterable,), "convert it to a list first: list(value)."),
)
_ADVICE = "convert it to plain values first, or register its class with register_type."


def advice_for(value: Any) -> tuple[str, str]:
    """Return what is wrong with a value that no kind serves, and what to do."""
    return f"cannot store {_article_and_name(value)};", _remedy(value)


def _article_and_name(value: Any) -> str:
    name = "class" if isinstance(value, type) else type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def _remedy(value: Any) -> str:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return (
            "convert it to a dict first, dataclasses.asdict(value), or register its class with register_type."
        )
    for base in type(value).__mro__:
        advice = _ADVICE_BY_PACKAGE.get(str(base.__module__).partition(".")[0])
        if advice is not None:
            return advice
    return next((advice for classes, advice in _ADVICE_BY_CLASS if isinstance(value, classes)), _ADVICE)
