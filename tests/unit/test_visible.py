"""Text that others wrote is shown, and obeyed by no terminal and no page."""

import ast
import io
import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import lume_services.cli
from lume_services.cli import output
from lume_services.cli.lineage import _line
from lume_services.errors import Problem, SpecError
from lume_services.flows import Plan, graph_mermaid, graph_svg, graph_text, load_spec
from lume_services.values.visible import markdown, visible

EVIL = {
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\x1b[31mred": r"\x1b[31mred",
    "\x9b31m": r"\x9b31m",
    "abc\u202etxt.exe": r"abc\u202etxt.exe",
    "\u2066isolate\u2069": r"\u2066isolate\u2069",
    "row\nforged\tcell\r": r"row\nforged\tcell\r",
    "line\u2028sep\x85": r"line\u2028sep\x85",
    "lone \ud800": r"lone \ud800",
    "\x00\x7f\ufeff": r"\x00\x7f\ufeff",
    "tag \U000e0041": r"tag \U000e0041",
}
HARMLESS = ["sigma = 3 µm ± 5 %", "日本語", "[red]bold[/red]", r"C:\new\table", ""]


@pytest.mark.parametrize("text", EVIL)
def test_what_would_be_obeyed_is_written_out(text):
    assert visible(text) == EVIL[text]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_can_be_seen_stays(text):
    assert visible(text) == text


@given(st.text(st.characters()))
def test_nothing_is_left_that_repr_would_escape(text):
    assert visible(text).isprintable()
    assert all(line.isprintable() for line in visible(text, lines=True).split("\n"))


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


@pytest.mark.parametrize("text", [*EVIL, "[red]bold[/red]", ":smile:", "[link=http://a.b]c[/link]"])
def test_a_table_on_a_terminal_and_in_a_pipe(text, terminal, monkeypatch):
    monkeypatch.setattr(sys, "stdout", terminal)
    output.print_table("Runs", ("run", text), [("r", text)])
    shown = terminal.getvalue()
    assert shown.count(visible(text)) == 2
    assert text == visible(text) or text not in shown
    monkeypatch.setattr(sys, "stdout", pipe := io.StringIO())
    output.print_table("Runs", ("run", text), [("r", text)])
    assert pipe.getvalue() == f"run\t{visible(text)}\nr\t{visible(text)}\n"


@pytest.mark.parametrize("text", EVIL)
def test_a_line_of_a_tree(text):
    out = Console(file=io.StringIO(), width=200)
    out.print(_line(text))
    assert out.file.getvalue() == f"{visible(text)}\n"


@pytest.mark.parametrize("text", EVIL)
def test_json_is_exact_and_harmless(text, capsys):
    output.print_json({text: [text, "µ"]})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {text: [text, "µ"]}
    assert all(line.isprintable() for line in printed.split("\n"))
    assert "µ" in printed


def test_an_error_cannot_look_like_two(capsys):
    output.echo_error("cannot be read: a\nError: b\x1b[2J\n  - c")
    assert capsys.readouterr().err == "Error: cannot be read: a\n  Error: b\\x1b[2J\n  - c\n"
    output.echo_error(str(SpecError("wrong", [Problem("x\u202e")])))
    assert capsys.readouterr().err == "Error: wrong: 1 problem\n  - x\\u202e\n"


def test_pictures():
    name = "a\x1b]0;b\x07\u202e\n```\nc"
    plan = Plan.from_spec(load_spec({"name": name, "composing_flows": [{"name": name}]}))
    shown = r"a\x1b]0;b\x07\u202e\n```\nc"
    assert graph_text(plan) == f"{shown}: 1 step, 0 mapped parameters\n1  {shown}\n"
    assert graph_mermaid(plan).count("\n") == 2
    assert graph_mermaid(plan).replace("\n", "").isprintable()
    picture = graph_svg(plan)
    assert picture.replace("\n", "").isprintable()
    assert shown in [element.text for element in ET.fromstring(picture).iter()]


def test_markdown_shows_text_and_no_links():
    evil = "![](http://a/b.png) <script> `x` **b**\n# title"
    assert markdown(evil) == (r"\!\[\]\(http://a/b.png\) \<script\> \`x\` \*\*b\*\*\\n\# title")


def test_nothing_is_printed_but_by_the_module_for_it():
    """Or else stored text reaches a terminal as it is."""
    folder = Path(lume_services.cli.__file__).parent
    found = []
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in {
                    "print",
                    "typer.echo",
                    "typer.secho",
                    "sys.stdout.write",
                    "sys.stderr.write",
                    "Text",
                }:
                    found.append((path.name, name))
    assert {name for name, _ in found} == {"output.py"}, found
