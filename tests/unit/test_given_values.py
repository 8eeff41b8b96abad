"""Values on the command line and in files of values mean what is written there."""

import json
import os
import sys
from decimal import Decimal

import pytest
from prefect import flow

from lume_services.cli.values import read_flow_of_flows, read_part
from lume_services.errors import SpecError

SEEN = {}
DIGITS = "0.1234567890123456789012345"


@flow
def takes(  # noqa: PLR0917 - a flow takes its parameters by name
    decimal: Decimal = Decimal(0),
    decimals: list[Decimal] = [],  # noqa: B006
    number: float = 0.0,
    whole: int = 0,
    text: str = "",
    anything=None,
) -> None:
    SEEN.update(locals())


@pytest.fixture
def spec(tmp_path, lume_context, monkeypatch):
    monkeypatch.setitem(sys.modules, "given_flows", sys.modules[__name__])
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "spec.json"
    path.write_text(
        json.dumps({"name": "s", "composing_flows": [{"name": "takes", "entrypoint": "given_flows:takes"}]})
    )
    return path


def problems(*arguments):
    with pytest.raises(SpecError) as caught:
        read_flow_of_flows(*arguments)
    return [str(problem) for problem in caught.value.problems]


SET = [
    ("decimal", DIGITS, DIGITS),
    ("decimal", "3", 3),
    ("decimals", f"[{DIGITS}, 1]", [DIGITS, 1]),
    ("number", DIGITS, float(DIGITS)),
    ("number", "1e-6", 1e-6),
    ("whole", "12345678901234567890123", 12345678901234567890123),
    ("text", "0777", "0777"),
    ("text", "1e-6", "1e-6"),
    ("text", "on", "on"),
    ("anything", DIGITS, float(DIGITS)),
    ("anything", "[" * 3000, "[" * 3000),
    ("anything", "", ""),
]


@pytest.mark.parametrize(("name", "text", "value"), SET)
def test_set(spec, name, text, value):
    for read in (read_flow_of_flows, read_part):
        _, values = read(spec, None, [f"takes.{name}={text}"])
        assert (values["takes"][name], type(values["takes"][name])) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("takes.anything=" + "9" * 5000, "a number has at most 1000 digits"),
        ('takes.anything={"a": 1, "a": 2}', "--set takes.anything: the key 'a' is already on line 1."),
        ("takes.anything=[1e999]", "it is larger than a number can be"),
        (os.fsdecode(b"takes.text=\xff"), "is not UTF-8 text."),
        ("takes.text", "is not STEP.PARAM=VALUE."),
        ("=", "is not STEP.PARAM=VALUE."),
    ],
)
def test_what_cannot_be_set(spec, text, message):
    (problem,) = problems(spec, None, [text])
    assert message in problem


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_decimal_reaches_the_flow_with_all_its_digits(spec, tmp_path, form):
    params = tmp_path / f"params.{form}"
    params.write_text(f'{{"takes": {{"decimal": {DIGITS}, "number": {DIGITS}, "anything": {DIGITS}}}}}')
    composed, values = read_flow_of_flows(spec, params, [f"takes.decimals=[{DIGITS}]"])
    expected = {
        "decimal": Decimal(DIGITS),
        "decimals": [Decimal(DIGITS)],
        "number": float(DIGITS),
        "whole": 0,
        "text": "",
        "anything": float(DIGITS),
    }
    first = composed.run(values)
    assert expected == SEEN
    SEEN.clear()
    composed.run(resume=first.run_id)  # the values are in the record, and decimal numbers have no fingerprint
    assert expected == SEEN


def test_a_file_of_values_is_yaml_1_2(spec, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("takes: {number: 1e-6, whole: 0777, text: on, anything: 190:20:30}\n")
    _, values = read_flow_of_flows(spec, params, [])
    assert values == {"takes": {"number": 1e-6, "whole": 777, "text": "on", "anything": "190:20:30"}}


def test_json_is_read_as_json(spec, tmp_path):
    params = tmp_path / "params.json"
    given = {
        "takes": {"number": 1e-6, "whole": 2**70, "text": "a/b \U0001f600", "anything": [1e-7, None, True]}
    }
    params.write_text(json.dumps(given).replace("/", "\\/"))
    _, values = read_flow_of_flows(spec, params, [])
    assert values == given


def test_set_is_stronger_than_the_file(spec, tmp_path):
    (tmp_path / "p.yaml").write_text("takes: {whole: 1, number: 2}\n")
    _, values = read_flow_of_flows(spec, tmp_path / "p.yaml", ["takes.whole=3"])
    assert values == {"takes": {"whole": 3, "number": 2}}


def test_an_empty_file_has_no_values(spec, tmp_path):
    (tmp_path / "p.yaml").write_text("# nothing\n")
    assert read_flow_of_flows(spec, tmp_path / "p.yaml", [])[1] == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.yaml", "takes:\n  whole: 1\n  whole: 2\n", "p.yaml:3: the key 'whole' is already on line 2."),
        ("p.json", '{"takes": {"whole": 1,\n"whole": 2}}', "p.json:2: the key 'whole' is already on line 1."),
        ("p.json", "{takes: 1}", "p.json:1: the file is not JSON"),
        ("p.yaml", "takes: {1: 2}", "p.yaml:1: the name 1 is not text."),
        ("p.yaml", "3: {a: 2}", "p.yaml:1: the name 3 is not text."),
        ("p.yaml", "takes: 3", "must be a map of steps to maps of parameters."),
        ("p.yaml", "- a", "must be a map of steps to maps of parameters."),
        ("p.yaml", "a: !!python/object:os.system {}", "is not allowed here"),
        ("p.yaml", "a: &a {b: *a}", "nested more than 50 levels deep"),
        (
            "p.yaml",
            "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10) if n else 'x'}]" for n in range(9)),
            "more than 300000 parts",
        ),
    ],
)
def test_what_is_wrong_with_a_file_of_values(spec, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    assert message in problems(spec, tmp_path / name, [])[0]


@pytest.mark.parametrize(("form", "quote"), [("yaml", ""), ("json", ""), ("json", '"')])
def test_a_decimal_in_a_spec_loses_no_digits_silently(spec, tmp_path, form, quote):
    path = tmp_path / f"digits.{form}"
    number = f"{quote}{DIGITS}{quote}"
    values = f'{{"decimal": {number}, "decimals": [1, {number}], "number": {DIGITS}, "anything": {DIGITS}}}'
    step = f'{{"name": "takes", "entrypoint": "given_flows:takes",\n"parameters": {values}}}'
    path.write_text(f'{{"name": "s", "composing_flows": [{step}]}}')
    if quote:
        composed, _ = read_flow_of_flows(path, None, [])
        composed.run()
        assert (SEEN["decimal"], SEEN["decimals"]) == (Decimal(DIGITS), [Decimal(1), Decimal(DIGITS)])
        return
    message = f"{DIGITS} has more digits than a number here keeps, and a decimal number is wanted. "
    message += "Write it in quotes."
    assert problems(path, None, []) == [
        f"{path}:2, step 'takes', parameter '{name}': {message}" for name in ("decimal", "decimals")
    ]
