"""Changes honest input at random, the same way for the same number."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

INTERESTING: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        7,
        127,
        255,
        2**31,
        2**32,
        2**53 + 1,
        2**63 - 1,
        -(2**63),
        10**12,
        2**70,
    ),
    *(0.0, -0.0, 0.5, 1e308, -1e-320, float("nan"), float("inf")),
    *(
        "",
        "a",
        "\0",
        "é" * 40,
        "x" * 5000,
        "%",
        "..",
        "/",
        "$type",
        "value",
        "now",
        "1e5",
        "NaN",
        "\x1b[31m",
        "\ud800",
    ),
    *([], {}, [[]], [0] * 40, [None, "a", 1.5], {"a": {"b": [1]}}, {"": 0}),
    *(b"", b"\0", b"\xff" * 9, datetime(2024, 1, 31, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)),
]
_NUMBERS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0xFFFFFFFF,
    0x7FFFFFFFFFFFFFFF,
    0xFFFFFFFFFFFFFFFF,
)
_SIGNS = "{}[]()\":,'\\#&*!|>%@`-?=<>~.$^+\0\t\n\r é\u2028\u202e"


class Mutator:
    """Mutates one input.

    Args:
        name: Of the mutation: its target and number.
        seeds: Honest inputs, of which parts may be taken.
    """

    def __init__(self, name: str, seeds: Sequence[Any]) -> None:
        self.random = Random(name)  # the same in every process
        self.seeds = seeds

    def bytes(self, data: bytes) -> bytes:
        """Change some bytes, or cut, repeat and move stretches of them."""
        found = bytearray(data)
        for _ in range(self._few()):
            if found:
                self.random.choice(_ON_BYTES)(self.random, found)
        return bytes(found)

    def text(self, text: str) -> str:
        """Change some characters, or cut, repeat and move stretches of them."""
        for _ in range(self._few()):
            start, stop = sorted(self.random.randrange(len(text) + 1) for _ in range(2))
            stop = min(stop, start + self.random.choice((1, 3, 20, 200)))
            some = self.random.choice(
                (
                    "",
                    text[start:stop] * self.random.choice((2, 3, 300)),
                    self.random.choice(_SIGNS) * self.random.choice((1, 1, 1, 2, 300)),
                    chr(
                        self.random.choice(
                            (0x7F, 0x85, 0xFEFF, 0xFFFF, 0x10FFFF, self.random.randrange(0xD800))
                        )
                    ),
                    str(self.random.choice(INTERESTING)),
                    text[: self.random.randrange(40)],
                )
            )
            text = text[:start] + some + text[stop:]
        return text[:100_000]

    def tree(self, tree: Any) -> Any:
        """Change some nodes of nested dicts and lists."""
        found = copy.deepcopy(tree)
        for _ in range(self._few()):
            found = self._on_tree(found)
        return found

    def _few(self) -> int:
        return self.random.choice((1, 1, 1, 2, 3, 8))

    def _on_tree(self, tree: Any) -> Any:
        places = list(_places(tree))
        if not places:
            return self._node(tree)
        container, key = self.random.choice(places)
        change = self.random.randrange(9)
        if change == 0:
            del container[key]
        elif change == 1:
            other, name = self.random.choice(places)
            container[key] = copy.deepcopy(other[name]) if isinstance(other, list) or name in other else None
        elif change == 2 and isinstance(container, dict):
            container[self._key(key)] = container.pop(key)
        elif change == 3 and isinstance(container, list):
            container.insert(key, copy.deepcopy(container[key]))
        elif change == 4:
            container[key] = [container[key]] if self.random.random() < 0.5 else {"value": container[key]}
        else:
            container[key] = self._node(container[key])
        return tree

    def _node(self, node: Any) -> Any:
        """Return something in place of a node: like it, taken from a seed, or unlike it."""
        way = self.random.randrange(4)
        if way == 0:
            places = list(_places(self.random.choice(self.seeds)))
            container, key = self.random.choice(places) if places else ([None], 0)
            return copy.deepcopy(container[key])
        if way < 3 and isinstance(node, bool):
            return not node
        if way < 3 and isinstance(node, int):
            return node + self.random.choice((1, -1, 8, 256, 1 << 20, 1 << 40)) if way == 1 else -node
        if way < 3 and isinstance(node, str):
            return self.text(node)
        if way < 3 and isinstance(node, bytes):
            return self.bytes(node)
        return copy.deepcopy(self.random.choice(INTERESTING))

    def _key(self, key: Any) -> Any:
        other = self.random.choice([name for _, name in _places(self.random.choice(self.seeds))] or ["a"])
        return self.random.choice((str(other), self.text(str(key)), "$type", "$types", "value", ""))


def _places(tree: Any) -> Any:
    """Yield each container and key within a tree."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, item in pairs:
            yield node, key
            waiting.append(item)


def _flip(random: Random, data: bytearray) -> None:
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _byte(random: Random, data: bytearray) -> None:
    data[random.randrange(len(data))] = random.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, random.randrange(256)))


def _number(random: Random, data: bytearray) -> None:
    size = random.choice((2, 4, 8))
    start = random.randrange(len(data))
    wanted = random.choice((*_NUMBERS, random.randrange(len(data)), random.randrange(1 << 16)))
    data[start : start + size] = (wanted & ((1 << 8 * size) - 1)).to_bytes(
        size, random.choice(("little", "big"))
    )


def _cut(random: Random, data: bytearray) -> None:
    start = random.randrange(len(data))
    del data[start : start + random.choice((1, 4, 16, 100, len(data)))]


def _repeat(random: Random, data: bytearray) -> None:
    start = random.randrange(len(data))
    data[start:start] = data[start : start + random.choice((1, 8, 64))] * random.choice((1, 2, 50))


def _copy(random: Random, data: bytearray) -> None:
    source, start = random.randrange(len(data)), random.randrange(len(data))
    some = data[source : source + random.choice((1, 4, 8, 16, 64))]
    data[start : start + len(some)] = some


_ON_BYTES = (_flip, _flip, _byte, _byte, _number, _number, _copy, _cut, _repeat)


def json_text(tree: Any) -> str:
    """Return the JSON of a tree whose leaves may be anything."""
    return json.dumps(tree, default=repr)
