"""What the commands print: for people on a terminal, plain lines in a pipe, JSON for programs.

All that is printed goes through here. Text that was stored, or comes from elsewhere, is made visible: it can
neither steer a terminal nor look like rows or messages that we have not written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lume_services.values.secret import without_credentials
from lume_services.values.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

JSONFlag = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def console(*, stderr: bool = False) -> Console:
    """Return the console: colours and tables on a terminal, plain text elsewhere. It knows no markup."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)


def shown(value: object, style: str = "") -> Text:
    """Return a value as text for a table or a tree."""
    from rich.text import Text

    return Text(visible(value), style=style)


def echo(text: object = "", *, err: bool = False, end: str = "\n") -> None:
    """Print one line."""
    typer.echo(visible(text) + end, err=err, nl=False)


def echo_lines(text: str, *, err: bool = False) -> None:
    """Print text of several lines; its line ends are kept."""
    typer.echo(visible(text.rstrip("\n"), lines=True), err=err)


def echo_error(message: str) -> None:
    """Print an error, without the credentials that a URL in it may hold.

    Its lines after the first are indented, so that none can be taken for another error.
    """
    typer.secho("Error: ", err=True, fg=typer.colors.RED, bold=True, nl=False)
    first, *others = without_credentials(message).split("\n")
    indented = [line if line[:1] in ("", " ") else f"  {line}" for line in others]
    echo_lines("\n".join([first, *indented]), err=True)


def confirm(question: str) -> None:
    """Ask, and end the command unless the answer is yes."""
    # typer.confirm writes to standard output, which is for results
    echo(f"{question} [y/N] ", end="", err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise typer.Abort


def print_json(value: Any) -> None:
    """Print a value as JSON; what JSON cannot hold becomes text. Each text is exact: JSON has escapes."""
    text = json.dumps(value, indent=2, default=_plain, ensure_ascii=False)
    lines = text.split("\n")  # in a text, JSON has `\n`
    sys.stdout.write("\n".join(line if line.isprintable() else _escaped(line) for line in lines) + "\n")


def _escaped(line: str) -> str:
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist") and getattr(value, "ndim", 1) == 0:
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table: with lines on a terminal, tab-separated in a pipe."""
    out = console()
    if not out.is_terminal:
        for row in (columns, *rows):
            sys.stdout.write("\t".join(map(visible, row)) + "\n")
        return
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(shown(column), overflow="fold")
    for row in rows:
        table.add_row(*map(shown, row))
    out.print(table)
