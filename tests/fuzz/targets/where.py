"""Queries in plain language, as `--where` takes them."""

from __future__ import annotations

from fuzz.mutate import Mutator
from fuzz.target import Target
from lume_services.results import parse_where
from lume_services.services.results.query.selection import Selection
from lume_services.values import encode

_DOCUMENT = encode({"inputs": {"quad": "QE04", "x": 1}, "outputs": {"y": [1.5, "a"], "flag": True}})


def _seeds() -> list[str]:
    return [
        "outputs.sigma_x < 2e-6 and inputs.quad = 'QE04' and not outputs.flag",
        "outputs.y in [1, 2.5, 'a', null] or (inputs.`any text` exists and inputs.x != nan)",
        "inputs.quad ~ '^QE[0-9]+$' and date_modified >= 2024-01-31T12:00:00Z",
        "outputs.QUAD:LI20:X.VAL not in [\"a\", true] and inputs.'key with.dot' <= -inf",
    ]


def _mutate(mutator: Mutator, seed: str) -> str:
    return mutator.text(seed)


def _read(text: str) -> None:
    Selection.of(parse_where(text)).query.matches(_DOCUMENT)


TARGET = Target("where", _seeds, _mutate, _read, lambda text: text.encode("utf-8", "surrogatepass"),
    lambda data: data.decode("utf-8", "surrogatepass"))  # fmt: skip
