"""MongoDB filters, compiled once and applied to many documents.

Equality and `$eq $ne $gt $gte $lt $lte $in $nin $exists $regex $options $and $or $not $nor $elemMatch $size`
mean what they mean to MongoDB: a path goes through lists, a condition on a list holds if it holds for an
element or for the whole, null also matches what is missing, and a comparison never matches another type. Any
other operator is an error. What differs, on purpose: mappings compare whatever the order of their keys, keys
may hold dots (see `paths`), and what the codec stores with a kind is seen as its value (see `order.view`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from lume_services.errors import QueryError, choose_from
from lume_services.services.results.query.order import (
    MAPPING,
    MISSING,
    NAN_KEY,
    TEXT,
    OrderKey,
    order_key,
    type_rank,
    view,
)
from lume_services.services.results.query.paths import Path
from lume_services.values.codec import TYPE, encode

Matcher: TypeAlias = Callable[[dict[str, Any]], bool]
Check: TypeAlias = Callable[[Any], bool]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_LOGIC = ("$and", "$or", "$nor")
_REGEX_OPTIONS = "ims"
_SHOWN = 200
_MAX_DEPTH = 100
_MAX_DOTS = 300  # a document has 250 levels at most
_LITERAL = 'To compare with a mapping whose keys begin with "$", write {"$eq": {…}}.'


class Bound(NamedTuple):
    """A condition that every matching document meets, for stores that have an index.

    Attributes:
        operator: `$eq`, `$in`, `$gt`, `$gte`, `$lt` or `$lte`.
        keys: The operand, or the operands of `$in`.
    """

    operator: str
    keys: tuple[OrderKey, ...]


class Query(NamedTuple):
    """A compiled filter.

    Attributes:
        matches: Tells whether a document, as the codec made it, passes the filter.
        bounds: By the atoms of a path, conditions that hold for every match.
    """

    matches: Matcher
    bounds: Mapping[tuple[str, ...], Sequence[Bound]]

    def texts(self, name: str) -> list[str] | None:
        """Return the texts of which a top-level field must be one, or None where that is not said."""
        for bound in self.bounds.get((name,), ()):
            if bound.operator in ("$eq", "$in"):
                return [key[1] for key in bound.keys if key[0] == TEXT]
        return None


def compile_query(query: Mapping[str, Any] | None) -> Query:
    """Return the compiled form of a filter; the filter itself is left as it is.

    Args:
        query: A MongoDB filter. None and `{}` match everything.

    Raises:
        QueryError: An operator is not known, or an operand is not what it takes.
        EncodeError: A value could not be stored, so nothing can be equal to it.
    """
    compiler = _Compiler()
    matches = compiler.query({} if query is None else query, "query", required=True)
    return Query(matches, compiler.bounds)


class _Condition(Protocol):
    """What an operator demands, of the values at a path or of one value in a list."""

    def at(self, path: Path, document: dict[str, Any]) -> bool: ...

    def of(self, value: Any) -> bool: ...


class _Test(NamedTuple):
    """Holds if one of the values passes the check; `elements`: those in a list count, too."""

    check: Check
    elements: bool = True

    def at(self, path: Path, document: dict[str, Any]) -> bool:
        return any(map(self.check, path.values(document, elements=self.elements)))

    def of(self, value: Any) -> bool:
        return self.check(value)


class _Not(NamedTuple):
    """Holds unless all of the conditions do."""

    conditions: Sequence[_Condition]

    def at(self, path: Path, document: dict[str, Any]) -> bool:
        return not all(condition.at(path, document) for condition in self.conditions)

    def of(self, value: Any) -> bool:
        return not all(condition.of(value) for condition in self.conditions)


class _Compiler:
    """Compiles one filter.

    Attributes:
        bounds: What was found to hold for every match.
    """

    def __init__(self) -> None:
        self.bounds: dict[tuple[str, ...], list[Bound]] = {}
        self._depth = 0

    def query(self, query: Any, where: str, *, required: bool) -> Matcher:
        self._deeper(where)
        try:
            return self._filter(query, where, required=required)
        finally:
            self._depth -= 1

    def _deeper(self, where: str) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise QueryError(f"a filter has at most {_MAX_DEPTH} levels.", where=f"{where[:_SHOWN]}…")

    def _filter(self, query: Any, where: str, *, required: bool) -> Matcher:
        if not isinstance(query, Mapping):
            raise QueryError(
                f"a filter is a mapping, not {_kind(query)}.", where=where, remedy='Write {"outputs.y": 2}.'
            )
        matchers = [self.clause(name, operand, where, required) for name, operand in query.items()]
        if len(matchers) == 1:
            return matchers[0]
        return lambda document: all(matches(document) for matches in matchers)

    def clause(self, name: Any, operand: Any, where: str, required: bool) -> Matcher:
        where = f"{where}[{name!r}]"
        if not isinstance(name, str):
            raise QueryError(f"a path is text, not {_kind(name)}.", where=where)
        if name in _LOGIC:
            return self.logic(name, operand, where, required)
        if name.startswith("$"):
            raise _unknown(name, where, _LOGIC, f'Where it is a key, write "\\{name}".')
        path = path_of(name, where)
        conditions = self.conditions(operand, where, path if required else None)
        return lambda document: all(condition.at(path, document) for condition in conditions)

    def logic(self, name: str, operand: Any, where: str, required: bool) -> Matcher:
        if not isinstance(operand, list | tuple) or not operand:
            raise QueryError(
                f"{name} takes a list of at least one filter, not {shown(operand)}.", where=where
            )
        required = required and name == "$and"
        parts = [
            self.query(part, f"{where}[{index}]", required=required) for index, part in enumerate(operand)
        ]
        if name == "$and":
            return lambda document: all(matches(document) for matches in parts)
        if name == "$or":
            return lambda document: any(matches(document) for matches in parts)
        return lambda document: not any(matches(document) for matches in parts)

    def conditions(self, operand: Any, where: str, path: Path | None) -> list[_Condition]:
        """Compile what stands after a path: operators, or a value to be equal to."""
        if not _has_operators(operand):
            operand = {"$eq": operand}
        self._deeper(where)
        conditions = []
        for name, argument in operand.items():
            if name == "$options":
                if "$regex" not in operand:
                    raise QueryError("$options needs a $regex beside it.", where=where)
                continue
            if name not in _OPERATORS:
                raise _unknown(name, where, [*_OPERATORS, "$options"], _LITERAL)
            if name == "$regex":
                argument = (argument, operand.get("$options", ""))  # noqa: PLW2901
            condition, bound = _OPERATORS[name](self, name, argument, f"{where}[{name!r}]")
            conditions.append(condition)
            if bound is not None and path is not None:
                self.bounds.setdefault(path.atoms, []).append(bound)
        self._depth -= 1
        return conditions


_Compiled: TypeAlias = tuple[_Condition, Bound | None]


def _equal(_: _Compiler, name: str, operand: Any, where: str) -> _Compiled:
    key = order_key(_operand(operand, where))
    rank = key[0]
    test = _Test(lambda value: type_rank(value) == rank and order_key(value) == key)
    return (test, Bound(name, (key,))) if name == "$eq" else (_Not([test]), None)


def _one_of(_: _Compiler, name: str, operand: Any, where: str) -> _Compiled:
    if not isinstance(operand, list | tuple):
        raise QueryError(f"{name} takes a list of values, not {_kind(operand)}.", where=where)
    keys = frozenset(order_key(_operand(item, f"{where}[{n}]")) for n, item in enumerate(operand))
    ranks = frozenset(key[0] for key in keys)
    test = _Test(lambda value: type_rank(value) in ranks and order_key(value) in keys)
    return (test, Bound(name, tuple(sorted(keys)))) if name == "$in" else (_Not([test]), None)


def _compare(_: _Compiler, name: str, operand: Any, where: str) -> _Compiled:
    value = _operand(operand, where)
    if type(value) is bytes or (type(value) is dict and TYPE in value):
        raise QueryError(
            f"{name} cannot compare with {_kind(operand)}, which has no order.",
            where=where,
            remedy="Compare with a number, a text or a date; or use $eq.",
        )
    key, compare = order_key(value), _COMPARISONS[name]
    rank = key[0]

    def check(value: Any) -> bool:
        if type_rank(value) != rank:
            return False
        found = order_key(value)
        if NAN_KEY in (found, key):
            return found == key and compare(0, 0)
        return compare(found, key)

    return _Test(check), Bound(name, (key,))


def _exists(_: _Compiler, name: str, operand: Any, where: str) -> _Compiled:
    if not isinstance(operand, bool):
        raise QueryError(f"{name} takes true or false, not {shown(operand)}.", where=where)
    test = _Test(lambda value: value is not MISSING, elements=False)
    return (test if operand else _Not([test])), None


def _size(_: _Compiler, name: str, operand: Any, where: str) -> _Compiled:
    if not isinstance(operand, int) or isinstance(operand, bool) or operand < 0:
        raise QueryError(f"{name} takes a whole number from 0 on, not {shown(operand)}.", where=where)
    return _Test(lambda value: type(value) is list and len(value) == operand, elements=False), None


def _regex(_: _Compiler, name: str, operand: Any, where: str) -> _Compiled:
    pattern, options = operand
    if not isinstance(pattern, str) or not isinstance(options, str):
        raise QueryError(f"{name} and $options take text, not {shown(operand)}.", where=where)
    for option in options:
        if option not in _REGEX_OPTIONS:
            raise QueryError(
                f"{shown(option)} is no option of {name}.", where=where, remedy="The options are i, m and s."
            )
    search = _searcher(pattern, "".join(sorted(set(options))), where)
    return _Test(lambda value: type(value) is str and search(value) is not None), None


def _searcher(pattern: str, options: str, where: str) -> Callable[[str], Any]:
    import re2  # only queries with a regular expression need it

    settings = re2.Options()
    settings.log_errors = False
    try:
        search: Callable[[str], Any] = re2.compile(
            f"(?{options}:{pattern})" if options else pattern, settings
        ).search
    except (re2.error, ValueError, RecursionError) as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error
        raise QueryError(
            f"{shown(pattern)} is not a regular expression of RE2: {str(reason)[:_SHOWN]}.",
            where=where,
            remedy=(
                "RE2 knows no look-around, back-references or possessive repeats, and repeats at most "
                "1000 times; its syntax: https://github.com/google/re2/wiki/Syntax."
            ),
        ) from error
    return search


def shown(value: Any) -> str:
    """Return a value as errors show it."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more than 4300 digits
        return _kind(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _not(compiler: _Compiler, name: str, operand: Any, where: str) -> _Compiled:
    if not _has_operators(operand):
        raise QueryError(
            f"{name} takes operators, not {shown(operand)}.",
            where=where,
            remedy='Write {"$not": {"$gt": 2}}, or {"$ne": …} for a value.',
        )
    return _Not(compiler.conditions(operand, where, None)), None


def _element_match(compiler: _Compiler, name: str, operand: Any, where: str) -> _Compiled:
    if not isinstance(operand, Mapping):
        raise QueryError(f"{name} takes a filter, not {_kind(operand)}.", where=where)
    if any(str(key).startswith("$") and key not in _LOGIC for key in operand):
        conditions = compiler.conditions(operand, where, None)

        def passes(item: Any) -> bool:
            return all(condition.of(item) for condition in conditions)

    else:
        matches = compiler.query(operand, where, required=False)

        def passes(item: Any) -> bool:
            if type(item) is list:  # MongoDB sees a list within a list as a mapping of its positions
                item = {str(index): inner for index, inner in enumerate(item)}
            return type_rank(item) == MAPPING and matches(item)

    def check(value: Any) -> bool:
        return type(value) is list and any(passes(view(item)) for item in value)

    return _Test(check, elements=False), None


_OPERATORS: dict[str, Callable[[_Compiler, str, Any, str], _Compiled]] = {
    "$eq": _equal,
    "$ne": _equal,
    "$in": _one_of,
    "$nin": _one_of,
    **dict.fromkeys(_COMPARISONS, _compare),
    "$exists": _exists,
    "$size": _size,
    "$regex": _regex,
    "$not": _not,
    "$elemMatch": _element_match,
}


def path_of(name: Any, where: str) -> Path:
    """Return the path that a text names.

    Raises:
        QueryError: It is not a text that a key could be.
    """
    if not isinstance(name, str):
        raise QueryError(f"a path is text, not {_kind(name)}.", where=where)
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise QueryError(
            f"{name!r} is not a path: half of a surrogate pair stands for no character.", where=where
        ) from error
    if name.count(".") > _MAX_DOTS:
        raise QueryError(f"a path has at most {_MAX_DOTS} dots.", where=f"{where[:_SHOWN]}…")
    return Path(name)


def _operand(value: Any, where: str) -> Any:
    return view(encode(value, where=where))


def _has_operators(operand: Any) -> bool:
    return isinstance(operand, Mapping) and any(isinstance(k, str) and k.startswith("$") for k in operand)


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"


def _unknown(name: Any, where: str, known: Sequence[str], remedy: str) -> QueryError:
    if isinstance(name, str) and name.startswith("$"):
        message = f"the operator {name!r} is not supported. {choose_from(name, known)}"
    else:
        message = f"{name!r} stands beside operators, but is none."
    return QueryError(message, where=where, remedy=remedy, operator=name)
