"""A plain language for queries: `outputs.sigma_x < 2e-6 and inputs.quad = 'QE04' and not outputs.flag`.

    condition   PATH = VALUE            also ==, !=, <, <=, >, >=
                PATH ~ 'REGEX'
                PATH in [VALUE, …]      PATH not in [VALUE, …]
                PATH exists             PATH (is true)
    together    and, or, not, parentheses
    value       1.5  2e-6  inf  nan  'text'  "text"  true  false  null  2024-01-31  2024-01-31T12:00:00Z
    path        inputs.quad  outputs.QUAD:LI20:X.VAL  inputs.`any text`  inputs.'key with.dot'

The words of the language may be written in capitals. A date without a time zone is in UTC.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from lume_services.errors import QueryError
from lume_services.services.results.query.paths import Path, escape

Filter: TypeAlias = dict[str, Any]

_COMPARISONS = {"!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
_CONSTANTS = {
    "true": True,
    "false": False,
    "null": None,
    "none": None,
    "inf": math.inf,
    "-inf": -math.inf,
    "nan": math.nan,
}
_WORDS = frozenset({"and", "or", "not", "in", "exists"})
_MAX_DEPTH = 50

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<date>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-][\d:]+)?)?)(?![\w.:])
  | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.:])
  | (?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]+`)
  | (?P<symbol>==|!=|<=|>=|[=<>~(),\[\]])
  | (?P<word>(?:[\w.:$@/%#-]|\\[.\\$])+)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class _Token:
    kind: str | None
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def parse_where(text: str) -> Filter:
    """Return the MongoDB filter of a query in plain language; see the module for the language.

    Args:
        text: As `outputs.sigma_x < 2e-6 and not outputs.flag`.

    Raises:
        QueryError: It is not in this language; the message points at the place.
    """
    return _Parser(text).whole()


class _Parser:
    """Reads a query from left to right, one rule of the language per method."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._position = 0
        self._depth = 0

    # rules ----------------------------------------------------------------------------------------

    def whole(self) -> Filter:
        found = self._alternatives()
        if self._token.kind != "end":
            raise self._fail("expected `and`, `or` or the end.")
        return found

    def _alternatives(self) -> Filter:
        parts = [self._conjunction()]
        while self._take("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else {"$or": parts}

    def _conjunction(self) -> Filter:
        parts = [self._negation()]
        while self._take("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else {"$and": parts}

    def _negation(self) -> Filter:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._fail(f"more than {_MAX_DEPTH} levels of `not` and parentheses.")
        if self._take("not"):
            found: Filter = {"$nor": [self._negation()]}
        elif self._take("("):
            found = self._alternatives()
            self._expect(")")
        else:
            found = self._condition()
        self._depth -= 1
        return found

    def _condition(self) -> Filter:
        path = self._path()
        condition: Any = True
        if self._take("=", "=="):
            condition = self._value()
        elif symbol := self._take(*_COMPARISONS):
            condition = {_COMPARISONS[symbol]: self._value()}
        elif self._take("~"):
            condition = {"$regex": self._regex()}
        elif self._take("exists"):
            condition = {"$exists": True}
        elif self._take("in"):
            condition = {"$in": self._list()}
        elif self._take("not"):
            self._expect("in")
            condition = {"$nin": self._list()}
        return {path: condition}

    def _path(self) -> str:
        pieces: list[str] = []
        end = self._token.start
        while self._token.start == end and self._token.kind in ("word", "quoted"):
            token = self._token
            if not pieces and token.text.lower() in _WORDS:
                break
            pieces.append(escape(token.text[1:-1]) if token.kind == "quoted" else token.text)
            end = token.end
            self._position += 1
        path = "".join(pieces)
        if not path:
            raise self._fail("expected a path, as outputs.y.")
        if "" in Path(path).atoms:
            raise self._fail("the path has an empty part.", "Put a key that holds dots in quotes.", end - 1)
        # No operator stands in a condition, so the sign of one is part of a key.
        return f"\\{path}" if path.startswith("$") else path

    def _list(self) -> list[Any]:
        self._expect("[")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._expect("]")
        return values

    def _regex(self) -> str:
        start = self._token.start
        pattern = self._value()
        if not isinstance(pattern, str):
            raise self._fail("expected a regular expression in quotes.", column=start)
        return pattern

    def _value(self) -> Any:
        token = self._token
        text = token.text
        if token.kind == "quoted" and text[0] != "`":
            value: Any = re.sub(r"\\(['\"\\])", r"\1", text[1:-1])
        elif token.kind == "number":
            value = float(text) if re.search("[.eE]", text) else int(text)
        elif token.kind == "date":
            value = self._date(text)
        elif token.kind == "word" and text.lower() in _CONSTANTS:
            value = _CONSTANTS[text.lower()]
        else:
            is_text = token.kind == "word" and text.lower() not in _WORDS
            raise self._fail("expected a value.", f"Put text in quotes: '{text}'." if is_text else None)
        self._position += 1
        return value

    def _date(self, text: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            raise self._fail(
                f"this is no date: {error}.", "Write 2024-01-31 or 2024-01-31T12:00:00Z."
            ) from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    # tokens ---------------------------------------------------------------------------------------

    def _split(self) -> Iterator[_Token]:
        position = 0
        while match := _TOKEN.match(self._text, position):
            if match.lastgroup != "space":
                yield _Token(match.lastgroup, match.group(), position)
            position = match.end()
        if position < len(self._text):
            quote = self._text[position] in "'\"`"
            raise self._fail(
                "this quote is not closed." if quote else f"cannot read {self._text[position]!r}.",
                None if quote else "Put keys and text with odd characters in quotes.",
                position,
            )
        yield _Token("end", "", position)

    @property
    def _token(self) -> _Token:
        return self._tokens[self._position]

    def _take(self, *texts: str) -> str | None:
        """Go past the next token if it is one of these words or symbols, and return it."""
        text = self._token.text.lower()
        if self._token.kind not in ("word", "symbol") or text not in texts:
            return None
        self._position += 1
        return text

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._fail(f"expected `{text}`.")

    def _fail(self, message: str, remedy: str | None = None, column: int | None = None) -> QueryError:
        column = self._token.start if column is None else column
        advice = f" {remedy}" if remedy else ""
        return QueryError(
            f"{message}{advice}\n  {self._text}\n  {' ' * column}^",
            where=f"query, column {column + 1}",
            column=column,
        )
