"""JSON, with the line of every part."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from lume_services.errors import UnreadableFileError
from lume_services.values.written.reader import Loc, Reader, int_of, text_of

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))((?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)")
_WORDS: Mapping[str, Any] = {
    "null": None,
    "true": True,
    "false": False,
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}


class JSONReader(Reader):
    """Reads JSON from left to right; the reader of Python tells no lines and takes a key twice."""

    def read(self, text: str) -> Any:
        """Return the data of a text."""
        self._text = text
        self._at = 0
        self._counted = (0, 1)
        self.empty = not text.strip(" \t\n\r")
        if self.empty:
            return None
        found = self._value(())
        if self._next():
            self._fail("more follows after its end")
        return found

    def _value(self, loc: Loc) -> Any:
        first = self._next()
        line = self._line()
        self.begin(loc, line)
        if first == "{":
            return self._object(loc)
        if first == "[":
            return self._array(loc)
        if first == '"':
            return self.scalar(text_of, self._string(), line)
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        number = _NUMBER.match(self._text, self._at)
        if number is None:
            self._fail("a value is expected" if first else "it ends too early")
        self._at = number.end()
        if number[2]:
            return self.number(loc, number[0], line)
        return self.scalar(int_of, number[0], line)

    def _object(self, loc: Loc) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[Any, int] = {}
        for _ in self._items("}"):
            if self._next() != '"':
                self._fail("a key in double quotes is expected")
            line = self._line()
            key = self.scalar(text_of, self._string(), line)
            self._take(":")
            value_loc = (*loc, key)
            if self.key(loc, key, line, lines):
                found[key] = self._value(value_loc)
            else:
                self._value(value_loc)
        return found

    def _array(self, loc: Loc) -> list[Any]:
        return [self._value((*loc, index)) for index in self._items("]")]

    def _items(self, end: str) -> Any:
        """Yield the number of each item that begins here, up to the end."""
        self._at += 1
        if self._next() == end:
            self._at += 1
            return
        number = 0
        while True:
            yield number
            number += 1
            if self._next() == end:
                self._at += 1
                return
            self._take(",")

    def _string(self) -> str:
        try:
            found, self._at = _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            self._at = error.pos
            self._fail(error.msg[:1].lower() + error.msg[1:])
        return str(found)

    def _next(self) -> str:
        """Go past blanks, and return the next character; empty at the end."""
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at
        return self._text[self._at : self._at + 1]

    def _take(self, sign: str) -> None:
        if self._next() != sign:
            self._fail(f"{sign!r} is expected")
        self._at += 1

    def _line(self) -> int:
        at, line = self._counted
        line += self._text.count("\n", at, self._at)
        self._counted = (self._at, line)
        return line

    def _fail(self, why: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        message = f"the file is not JSON: {why}."
        remedy = "Check the commas, the brackets and the quotes around this line."
        raise UnreadableFileError(message, where=f"{self.source}:{line}", remedy=remedy)
