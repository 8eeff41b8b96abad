"""Text that others wrote, made fit to be shown."""

from __future__ import annotations

import re


def visible(text: object, *, lines: bool = False) -> str:
    r"""Return text with all that a terminal or a page would obey written out, as `repr` does.

    Control characters, escape sequences, marks that change the direction of writing, and lone surrogates
    become `\x1b`, `\u202e`, `\udc00`. What can be seen stays as it is.

    Args:
        text: The text; anything else by its `str`.
        lines: Leave line ends as they are.
    """
    text = str(text)
    if text.isprintable():
        return text
    if lines:
        return "\n".join(map(visible, text.split("\n")))
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def markdown(text: object) -> str:
    """Return text so that a page in Markdown shows it as it is, visible and on one line."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~&-])", r"\\\1", visible(text))
