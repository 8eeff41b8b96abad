"""Files that people write mean what is written there: YAML 1.2, JSON and TOML by one reader."""

import contextlib
import json
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lume_services.errors import UnreadableFileError
from lume_services.values.written import meaning, read_json, read_written


def read(text, name="f.yaml", **kwargs):
    return read_written(text, name, what="file", **kwargs)


def data_of(text, name="f.yaml", **kwargs):
    written = read(text, name, **kwargs)
    assert written.problems == []
    return written.data


WORDS = {
    "1e-6": 1e-6,
    "0777": 777,
    "0o777": 511,
    "on": "on",
    "yes": "yes",
    "190:20:30": "190:20:30",
    "2024-01-31": "2024-01-31",
    "1_000": "1_000",
    "0b11": "0b11",
    "12345678901234567890123": 12345678901234567890123,
    "~": None,
    "=": "=",
    "<<": "<<",
    "1.": 1.0,
    ".5": 0.5,
    "-.inf": -math.inf,
}


@pytest.mark.parametrize("word", WORDS)
def test_yaml_is_1_2(word):
    found = data_of(f"a: {word}\n")["a"]
    assert (type(found), found) == (type(WORDS[word]), WORDS[word])


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


def same(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return repr(one) == repr(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@given(json_values, st.sampled_from([None, 2]), st.booleans())
def test_what_json_dump_wrote_comes_back(value, indent, escapes):
    text = json.dumps(value, indent=indent, ensure_ascii=escapes)
    assert same(data_of(text, "f.json"), value)
    assert same(data_of(text, "f.json"), json.loads(text))
    if not isinstance(value, str):
        assert same(meaning(text), value)


@given(st.text(st.sampled_from('{}[],:"\\ \n\t0123456789eE.+-tfnuNaI/ab'), max_size=30))
def test_what_python_does_not_read_as_json_is_refused(text):
    try:
        expected = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    except ValueError:
        if text.strip(" \t\n\r"):
            with pytest.raises(UnreadableFileError):
                read(text, "f.json")
        return
    written = read(text, "f.json")
    if not written.problems and not isinstance(expected, list):
        assert same(written.data, json.loads(text))


def test_a_key_that_is_written_twice_is_told_with_both_lines():
    for name, text in [("f.yaml", "a: 1\nb: 2\na: 3\n"), ("f.json", '{"a": 1,\n"b": 2,\n"a": 3}')]:
        ((_, problem),) = read(text, name).problems
        assert str(problem) == f"{name}:3: the key 'a' is already on line 1. Keep one of the two."
    with pytest.raises(UnreadableFileError, match="f.toml:2: the file is not TOML: Cannot overwrite a value"):
        read("a = 1\na = 2\n", "f.toml")
    with pytest.raises(ValueError, match="the key 'x' is already on line 1"):
        meaning('{"x": 1, "x": 2}')
    with pytest.raises(ValueError, match="the key 'x' is already"):
        read_json('{"x": 1, "x": 2}')


def test_every_part_of_json_has_its_line():
    written = read('{"a": [1,\n 2],\n\n"b": {"c":\nnull}}', "f.json")
    assert {loc: place.line for loc, place in written.places.items()} == {
        (): 1,
        ("a",): 1,
        ("a", 0): 1,
        ("a", 1): 2,
        ("b",): 4,
        ("b", "c"): 4,
    }


@pytest.mark.parametrize(
    ("name", "text", "where", "message"),
    [
        ("f.json", '{"a": 1,}', "f.json:1", "a key in double quotes is expected"),
        ("f.json", "[1,\n2 3]", "f.json:2", "',' is expected"),
        ("f.json", '["a\nb"]', "f.json:1", "invalid control character at"),
        ("f.json", "[1] 2", "f.json:1", "more follows after its end"),
        ("f.json", "[1", "f.json:1", "',' is expected"),
        ("f.json", "[", "f.json:1", "it ends too early"),
        ("f.json", "[" * 3000, "f.json:1", "nested more than 50 levels deep"),
        ("f.yaml", "[" * 3000, "f.yaml", "nested more than 50 levels deep"),
        ("f.yaml", "{a: " * 3000, "f.yaml", "nested more than 50 levels deep"),
        ("f.toml", "a = " + "[" * 3000, "f.toml", "nested too deep"),
        ("f.yaml", '"\\UFFFFFFFF"', "f.yaml", "the file is not YAML"),
        ("f.yaml", "a: *b", "f.yaml:1", "found undefined alias"),
        ("f.yaml", "a: \x00", "f.yaml", "the file is not YAML"),
        ("f.json", "[" + "1," * 100_000 + "1]", "f.json:1", "the file has more than 100000 parts"),
    ],
)
def test_what_is_of_no_form_is_refused_with_its_line(name, text, where, message):
    with pytest.raises(UnreadableFileError, match=message) as caught:
        read(text, name)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": "\\ud800"}', "this text cannot be read: it is not text: half of a character is missing."),
        ('{"\\udfff": 1}', "this text cannot be read"),
        ('{"a": 1e999}', "'1e999' cannot be read: it is larger than a number can be."),
        ('{"a": -1e999}', "'-1e999' cannot be read"),
        ('{"a": -1.5e-400}', "'-1.5e-400' cannot be read: it is smaller than a number can be."),
        (f'{{"a": {"9" * 5000}}}', "a number has at most 1000 digits"),
    ],
)
@pytest.mark.parametrize("name", ["f.json", "f.yaml"])
def test_a_value_that_is_none_is_a_problem(name, text, message):
    ((_, problem),) = read(text, name).problems
    assert message in str(problem)


def test_numbers_may_keep_all_their_digits():
    digits = "0.1234567890123456789012345"
    assert data_of(f"[{digits}, 1, 1e-400]", floats=str) == [digits, 1, "1e-400"]
    assert data_of(f"[{digits}, 1]", "f.json", floats=str) == [digits, 1]


@pytest.mark.parametrize("text", ["", " ", "abc", "[1", "{a: 1}", "'a'", "01", "1_0", "[" * 3000, "+1"])
def test_what_is_no_json_means_itself(text):
    assert meaning(text) == text


@given(st.text(), st.sampled_from(["f.yaml", "f.json", "f.toml"]))
def test_no_text_gives_another_error(text, name):
    with contextlib.suppress(UnreadableFileError):
        read(text, name)


@given(st.text(st.sampled_from("&*a: []{}-?|>!\n\t\"'%@`\\#,0x7.e~<="), max_size=40))
def test_odd_yaml_gives_no_other_error_and_no_more_than_yaml_does(text):
    try:
        read(text)
    except UnreadableFileError:
        return
    yaml.compose(text)
