"""Amounts as Kubernetes writes them: `500m` of a CPU, `2Gi` or `129e6` of memory."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

_FACTORS = {
    "": Decimal(1),
    **{letter: Decimal(1000) ** -power for power, letter in enumerate("mun", start=1)},
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}
_QUANTITY = re.compile(
    r"(?P<number>\+?(?:[0-9]{1,60}(?:\.[0-9]{0,60})?|\.[0-9]{1,60}))"
    r"(?:(?P<exponent>[eE][+-]?[0-9]{1,3})|(?P<suffix>[KMGTPE]i|[numkMGTPE])?)"
)


def amount(quantity: str) -> Decimal:
    """Return the number that a quantity stands for.

    Raises:
        ValueError: It is none, or less than zero.
    """
    found = _QUANTITY.fullmatch(quantity)
    if found is None:
        raise ValueError(
            f"{quantity!r} is no amount of Kubernetes: a number, then nothing, one of n u m k M G T P E, "
            "one of Ki Mi Gi Ti Pi Ei, or an exponent, as 500m, 2Gi, 0.5 or 129e6"
        )
    return Decimal(found["number"] + (found["exponent"] or "")) * _FACTORS[found["suffix"] or ""]


def _as_text(value: Any) -> Any:
    """Let a number stand for itself: in YAML, `2`, `0.5` and `129e6` are numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return value
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def _checked(quantity: str) -> str:
    amount(quantity)
    return quantity


Quantity = Annotated[str, BeforeValidator(_as_text), AfterValidator(_checked)]
"""An amount as Kubernetes writes it."""
