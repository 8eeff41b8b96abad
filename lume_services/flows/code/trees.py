"""Syntax trees: made from source, without what means nothing, and as text."""

from __future__ import annotations

import ast
import re
import warnings
from threading import Lock

# Names may have marks that are no letters, so what is between the signs of ASCII is a word.
_WORD = re.compile(r"[^\s!-/:-@\[-^`{-~]+")
_CLOSE = object()
_parsing = Lock()


def parsed(source: bytes) -> ast.Module:
    """Return the syntax tree of source.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: There is none.
    """
    with _parsing, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python has warned of what it finds when the module was compiled
        return ast.parse(source)


def text_of(node: ast.AST) -> str:
    """Return a syntax tree as text, however deep it is."""
    found: list[str] = []
    rest: list[object] = [node]
    while rest:
        one = rest.pop()
        if one is _CLOSE:
            found.append(")")
        elif isinstance(one, ast.AST):
            found.append(f"{type(one).__name__}(")
            rest.append(_CLOSE)
            rest += [getattr(one, name, None) for name in reversed(one._fields) if name != "kind"]
        elif isinstance(one, list):
            found.append("[")
            rest += [_CLOSE, *reversed(one)]
        else:
            found.append(f" {one!r}")
    return "".join(found)


def words_in(text: str) -> set[str]:
    """Return all names in the text of a statement, those within strings too."""
    words = set(_WORD.findall(text))
    if "\\" in text:  # the n of a line end is no part of the word after it
        words.update(_WORD.findall(re.sub(r"\\(?:[abfnrtv]|x..|u.{4}|U.{8})", " ", text)))
    return words


def drop_texts(tree: ast.Module) -> None:
    """Drop docstrings, and other texts that stand by themselves."""
    for node in list(ast.walk(tree)):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list) and any(map(_is_text, body)):
                setattr(node, name, [one for one in body if not _is_text(one)] or [ast.Pass()])


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
