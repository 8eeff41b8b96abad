"""Spec files that are damaged in every way: each is refused in order, or it can be used."""

import os
import random
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import yaml
from prefect import flow

from lume_services.errors import SpecError
from lume_services.examples.quad_scan import flows as quad_scan
from lume_services.flows import FlowOfFlows, load_spec
from lume_services.tasks import save_db_result, save_file

MUTANTS = int(os.environ.get("LUME_TEST_MUTANTS", "1500"))
SEED = 20_250_101
COMMON = """\
# A spec with all that a spec can have.
name: "everything"
project_name: demo
labels: [&label shift, night]
image: null
composing_flows:
  - name: flow1
    alias: first
    parameters: &constants
      text: 'some text'
      number: 1e-6
  - name: flow1
    alias: second
    run_config: {labels: [*label]}
    parameters: *constants
  - name: flow3
    mapped_parameters:
      text1: &mapped {parent_flow_name: first, attribute_index: [0, "a b"], map_type: raw}
      text2: *mapped
    parameters:
      table: {x: [1, 2.5, .inf], y: ~, z: {deep: [true, 0x1F]}}
      long: |
        several
          lines
"""
TOKENS = [
    *(
        "",
        " ",
        "  ",
        "\t",
        "\n",
        "\n\n",
        "- ",
        ": ",
        ":",
        "#",
        "[",
        "]",
        "{",
        "}",
        ",",
        "'",
        '"',
        "|",
        ">",
        "?",
    ),
    *("&a ", "*a", "&label ", "*constants", "<<: *constants", "!!str ", "!!python/object:os.system ", "!x "),
    *(
        "---",
        "...",
        "%YAML 1.1\n---\n",
        "~",
        "null",
        "true",
        "yes",
        "on",
        ".nan",
        "-.inf",
        "1e400",
        "0o17",
        "-0x1",
    ),
    *(
        "2024-02-30",
        "12:30:45",
        "9" * 5000,
        "0x" + "f" * 5000,
        "0o" + "7" * 6000,
        "1" * 400 + ".5",
        "\x00",
        "\x1b",
    ),
    *(
        "\ufeff",
        "\u2028",
        "\u00e9",
        "\U0001f600",
        "\\ud800",
        '"\\ud800"',
        "a" * 3000,
        "%",
        "a/b",
        "first",
        "flow1",
    ),
    *(
        "name",
        "alias",
        "entrypoint",
        "parameters",
        "mapped_parameters",
        "parent_flow_name",
        "parent_task_name",
    ),
    *("map_type", "db", "file", "raw", "attribute_index", "composing_flows", "run_config", "labels", "text1"),
    *("json:dumps", "os:environ", ":", "a:", ":b", "a.b.c:d.e", "..a:b", "lume_services.examples:", "text"),
]
Change = Callable[[random.Random, str], str | bytes]


@flow
def flow1(text: str = "", number: float = 0.0) -> list[dict[str, int]]:
    save_file.with_options(name="save_text_file")(text, filename="a.txt")
    return []


@flow
def flow2(file_rep: dict) -> None:
    save_db_result(file_rep)


@flow
def flow3(text1: int, text2: str = "", table: dict[str, object] | None = None, long: str = "") -> None:
    pass


FLOWS = [flow1, flow2, flow3, quad_scan.beam, quad_scan.track, quad_scan.fit]
SAMPLES = [
    COMMON,
    (Path(__file__).parents[1] / "system/flow_of_flows.yaml").read_text(),
    (files("lume_services") / "examples/quad_scan/quad_scan.yaml").read_text(),
]


def change_bytes(random, text):
    content = bytearray(text.encode())
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(content) + 1)
        content[start : start + random.choice((0, 0, 1, 2, 30))] = random.randbytes(random.randint(0, 3))
    return bytes(content)


def change_text(random, text):
    start = random.randrange(len(text) + 1)
    return text[:start] + random.choice(TOKENS) + text[start + random.choice((0, 0, 1, 5, 40)) :]


def change_lines(random, text):
    lines = text.splitlines(keepends=True) or [""]
    start, other = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            del lines[start : start + random.randint(1, 3)]
        case 1:
            lines[start], lines[other] = lines[other], lines[start]
        case 2:
            lines[start:start] = lines[other : other + random.randint(1, 4)]
        case 3:
            lines[start] = lines[start].rstrip("\n")
    return "".join(lines)


def change_indentation(random, text):
    lines = text.splitlines(keepends=True) or [""]
    for _ in range(random.randint(1, 3)):
        number = random.randrange(len(lines))
        spaces = random.choice((" ", "  ", "    ", "\t", ""))
        lines[number] = spaces + (lines[number] if random.random() < 0.5 else lines[number].lstrip())
    return "".join(lines)


def change_scalar(random, text):
    """Put something else in the place of a key or of a value."""
    lines = text.splitlines(keepends=True) or [""]
    number = random.randrange(len(lines))
    key, colon, value = lines[number].partition(":")
    if random.random() < 0.5:
        indentation = key[: len(key) - len(key.lstrip())]
        key = indentation + random.choice(TOKENS)
    else:
        value = f" {random.choice(TOKENS)}\n"
    lines[number] = key + colon + value
    return "".join(lines)


def change_tree(random, text):
    """Change the data that a text stands for, and write it as text again."""
    try:
        tree = yaml.safe_load(text)
        change_part(random, tree)
        return yaml.safe_dump(tree, sort_keys=False)
    except (yaml.YAMLError, ValueError):  # a date or a number that Python does not have
        return text


def change_part(random, tree):
    way = []
    holder = tree
    while isinstance(holder, dict | list) and holder and (not way or random.random() < 0.8):
        key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        way.append((holder, key))
        holder = holder[key]
    for owner, key in way[-1:]:
        if random.random() < 0.3 and isinstance(owner, dict):
            owner[random.choice((*TOKENS, 1, None, 2.5))] = owner.pop(key)
        else:
            others = (None, True, 3, -1.5, "text", [], {}, [[]], {"name": {}}, tree, *TOKENS)
            owner[key] = random.choice(others)


CHANGES = [
    change_bytes,
    change_text,
    change_lines,
    change_indentation,
    change_scalar,
    change_scalar,
    change_tree,
]


def mutant(number):
    source = random.Random(SEED + number)
    content = source.choice(SAMPLES)
    for _ in range(source.randint(1, 3)):
        text = content.decode(errors="replace") if isinstance(content, bytes) else content
        content = source.choice(CHANGES)(source, text)
    return content if isinstance(content, bytes) else content.encode(errors="surrogatepass")


def refusal_of(read):
    try:
        read()
    except SpecError as error:
        return error
    return None


def is_in_order(refusal):
    """Tell whether an error has what each one must have."""
    return refusal.problems and all(
        problem.message and str(problem) in str(refusal) and str(problem.where).startswith("spec.yaml")
        for problem in refusal.problems
    )


def test_a_damaged_file_is_refused_in_order_or_can_be_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = {"refused without flows": 0, "refused with flows": 0, "can be used": 0}
    for number in range(MUTANTS):
        Path("spec.yaml").write_bytes(mutant(number))
        alone = refusal_of(lambda: load_spec("spec.yaml"))
        whole = refusal_of(lambda: FlowOfFlows.from_yaml("spec.yaml", FLOWS, parameters={}))
        assert all(is_in_order(refusal) for refusal in (alone, whole) if refusal)
        assert whole or not alone
        ending = "refused without flows" if alone else "refused with flows" if whole else "can be used"
        counts[ending] += 1
    # The mutants are neither all hopeless nor all harmless.
    assert min(counts.values()) > MUTANTS / 100, counts
