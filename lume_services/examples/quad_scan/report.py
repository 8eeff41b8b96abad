"""The report: what was fitted beside the truth, as numbers to store and as text to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lume_services.examples.quad_scan.beam import Twiss
    from lume_services.examples.quad_scan.fit import Fit

UNITS = {"emittance": (1e6, "µm"), "beta": (1.0, "m"), "alpha": (1.0, "")}
"""How each Twiss parameter is printed: the factor from SI units, and the unit."""


def outputs(fits: Mapping[str, Fit], truth: Mapping[str, Twiss]) -> dict[str, float]:
    """Return the numbers of both planes, in SI units.

    For each plane and each Twiss parameter: `emittance_x`, its standard uncertainty `emittance_x_error`, and
    `emittance_x_true`. For each plane: `chi2_x` per degree of freedom and `points_x`, the sizes fitted.
    """
    values: dict[str, float] = {}
    for plane, fit in fits.items():
        for parameter in UNITS:
            name = f"{parameter}_{plane}"
            values[name] = getattr(fit.twiss, parameter)
            values[f"{name}_error"] = getattr(fit.error, parameter)
            values[f"{name}_true"] = getattr(truth[plane], parameter)
        values[f"chi2_{plane}"] = fit.chi2
        values[f"points_{plane}"] = fit.points
    return values


def summary(values: Mapping[str, float]) -> str:
    """Return a table of what `outputs` gives: fitted value, uncertainty, truth and deviation."""
    return "\n".join(_lines(values))


def _lines(values: Mapping[str, float]) -> Iterator[str]:
    yield "               fitted                true      off by"
    for plane in ("x", "y"):
        for parameter, (factor, unit) in UNITS.items():
            name = f"{parameter}_{plane}"
            value, error, true = (factor * values[f"{name}{part}"] for part in ("", "_error", "_true"))
            digits = max(0, 1 - floor(log10(error)))
            fitted = f"{value:.{digits}f} ± {error:.{digits}f} {unit}"
            off = abs(value - true) / error
            yield f"{name:<12}   {fitted:<19} {true:>7.{digits}f} {unit:<2}   {off:.1f} sigma"
        yield f"chi2_{plane:<7}   {values[f'chi2_{plane}']:.2f} over {values[f'points_{plane}']} sizes"
