"""What every `load` requires of the parts that it puts together, before it gives them to a constructor.

Many constructors of NumPy and pandas trust what they get: wrong parts give them wrong values, more memory
than there is, or the end of the process. So types, dtypes, lengths and names are checked here first.
"""

from __future__ import annotations

import math
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")

_MAX_AXES = 64
_MOST_EMPTY_ROWS = 1 << 22  # as lists they take memory, although they have no elements


def exactly(part: Any, *types: type[T]) -> T:
    """Return a part that is of one of these types, and of no subclass.

    Raises:
        TypeError: It is not.
    """
    if type(part) not in types:
        names = " or ".join("None" if known is type(None) else known.__name__ for known in types)
        raise TypeError(f"expected {names}, found {_shown(part)}")
    return part  # type: ignore[no-any-return]


def members(parts: Any, *names: str) -> list[Any]:
    """Return the members of a dict that has these keys and no others.

    Raises:
        ValueError: It is not such a dict.
    """
    if type(parts) is not dict or parts.keys() != set(names):
        found = f"a dict of {list(parts)}" if type(parts) is dict else _shown(parts)
        raise ValueError(f"expected a dict of {list(names)}, found {found}"[:_SHOWN_MESSAGE])
    return [parts[name] for name in names]


def column_of(part: Any, kinds: str, *, length: int | None = None) -> NDArray[Any]:
    """Return an array of one axis, read if it was lazy.

    Args:
        part: The part.
        kinds: The kinds of dtype that it may have, as NumPy names them.
        length: What its length must be.

    Raises:
        TypeError: It is no array.
        ValueError: It is another one.
    """
    array = array_of(part)
    if array.dtype.kind not in kinds or array.ndim != 1:
        raise ValueError(f"expected an array of one axis of kind {kinds}, found {_shown(array)}")
    if length is not None and len(array) != length:
        raise ValueError(f"expected {length} elements, found {len(array)}")
    return array


def array_of(part: Any) -> NDArray[Any]:
    """Return an array, read if it was lazy.

    Raises:
        TypeError: It is no array.
    """
    import numpy as np

    from lume_services.values.lazy import LazyArray

    if type(part) is LazyArray:
        return np.asarray(part)
    return exactly(part, np.ndarray)


def shape_of(axes: Any) -> tuple[int, ...]:
    """Return the shape that a list of lengths stands for.

    Raises:
        ValueError: It is none, or one of too many rows without elements.
    """
    if type(axes) is not list or len(axes) > _MAX_AXES or any(type(n) is not int or n < 0 for n in axes):
        raise ValueError(f"{axes!r:.200} is not the shape of an array")
    shape = tuple(axes)
    if 0 in shape and math.prod(takewhile(bool, shape)) > _MOST_EMPTY_ROWS:
        raise ValueError(f"an array of shape {shape} has too many rows for one without elements")
    return shape


def _shown(part: Any) -> str:
    if hasattr(part, "dtype") and hasattr(part, "shape"):
        return f"{type(part).__name__} of dtype {part.dtype} and shape {part.shape}"
    return type(part).__name__


_SHOWN_MESSAGE = 500
