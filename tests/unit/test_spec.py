"""From YAML or a dict to a spec."""

import contextlib
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lume_services.errors import SpecError
from lume_services.flows.document import read_document
from lume_services.flows.load import load_spec
from lume_services.flows.spec import DBMappedParameter, FileMappedParameter, RawMappedParameter, Spec

PREDECESSOR = """\
name: flow_of_flows
project_name: test
labels:
  - lume-services
image: registry/image:tag
composing_flows:
  - name: flow1
    project_name: test
    image: registry/image:tag
  - name: flow2
    project_name: test
    mapped_parameters:
      file_rep:
        parent_flow_name: flow1
        parent_project_name: test
        parent_task_name: save_text_file
        map_type: file
  - name: flow3
    project_name: test
    mapped_parameters:
      text1:
        parent_flow_name: flow2
        parent_project_name: test
        parent_task_name: save_db_result
        map_type: db
        attribute_index:
          - outputs
          - output1
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        content = text if isinstance(text, bytes) else text.encode()
        Path("spec.yaml").write_bytes(content)
        return "spec.yaml"

    return write


def problems_of(source):
    with pytest.raises(SpecError) as caught:
        load_spec(source)
    return [str(problem) for problem in caught.value.problems]


def test_the_predecessors_yaml_is_read_as_it_stands(write):
    spec = load_spec(write(PREDECESSOR))
    assert (spec.name, spec.project_name, spec.labels) == ("flow_of_flows", "test", ["lume-services"])
    first, second, third = spec.composing_flows
    assert (first.name, first.image, first.mapped_parameters) == ("flow1", "registry/image:tag", {})
    assert second.mapped_parameters["file_rep"].parent_task_name == "save_text_file"
    assert second.mapped_parameters["file_rep"].map_type == "file"
    assert third.mapped_parameters["text1"].attribute_index == ["outputs", "output1"]


def test_a_dict_is_read_as_the_same_spec(write):
    assert load_spec(yaml.safe_load(PREDECESSOR)) == load_spec(write(PREDECESSOR))


def test_what_may_be_left_out(write):
    spec = load_spec(write("name: a\nlabels:\ncomposing_flows:\n  - name: b\n    mapped_parameters:\n"))
    assert spec == Spec.model_validate({"name": "a", "composing_flows": [{"name": "b"}]})
    step = spec.composing_flows[0]
    assert (spec.labels, step.mapped_parameters, step.parameters, step.run_config) == ([], {}, {}, {})


def test_map_type_is_raw_unless_said_otherwise_and_the_alias_names_the_step():
    spec = load_spec(
        {
            "name": "a",
            "composing_flows": [
                {"name": "b"},
                {"name": "b", "alias": "again", "mapped_parameters": {"x": {"parent_flow_name": "b"}}},
            ],
        }
    )
    assert [step.step for step in spec.composing_flows] == ["b", "again"]
    mapped = spec.composing_flows[1].mapped_parameters["x"]
    assert (mapped.map_type, mapped.parent_task_name, mapped.attribute_index) == ("raw", None, None)


@pytest.mark.parametrize(
    ("kind", "map_type"),
    [(RawMappedParameter, "raw"), (FileMappedParameter, "file"), (DBMappedParameter, "db")],
)
def test_a_spec_written_in_python_may_hold_mapped_parameters(kind, map_type):
    mapped = kind(parent_flow_name="b", parent_task_name="t")
    steps = [{"name": "b"}, {"name": "c", "mapped_parameters": {"x": mapped}}]
    spec = load_spec({"name": "a", "composing_flows": steps})
    assert spec.composing_flows[1].mapped_parameters["x"].map_type == map_type


def test_numbers_and_text_are_those_of_yaml_1_2(write):
    text = """\
        {a: 1e-6, b: on, c: 012, d: .inf, e: ~, f: 0x1F, g: 2024-01-01, h: "1:30", i: '1', j: true, k: .nan,
         l: 0o17}
    """
    data = read_document(write(text)).data
    assert math.isnan(data.pop("k"))
    assert data == {
        "a": 1e-6,
        "b": "on",
        "c": 12,
        "d": math.inf,
        "e": None,
        "f": 31,
        "g": "2024-01-01",
        "h": "1:30",
        "i": "1",
        "j": True,
        "l": 15,
    }


def test_an_anchor_is_allowed(write):
    text = """\
name: a
composing_flows:
  - {name: b}
  - {name: c, mapped_parameters: {x: &from_b {parent_flow_name: b}, y: *from_b}}
"""
    step = load_spec(write(text)).composing_flows[1]
    assert step.mapped_parameters["x"] == step.mapped_parameters["y"]


def bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "spec.yaml: the file is empty. Write a name and composing_flows."),
        ("# a comment\n", "spec.yaml: the file is empty. Write a name and composing_flows."),
        ("a:\n\t- b", "spec.yaml:2: the line is indented with a tab. Indent with spaces."),
        (
            "name: [a\ncomposing_flows:",
            (
                "spec.yaml:2: the file is not YAML: expected ',' or ']', but got ':', while parsing a "
                "flow sequence. "
                "Check the indentation, the colons and the quotes around this line."
            ),
        ),
        ("&a [*a]", "spec.yaml:1: the file is nested more than 50 levels deep."),
        ("[" * 5000, "spec.yaml: the file is nested more than 50 levels deep."),
        (bomb(), "spec.yaml:1: the spec has more than 100000 parts."),
        (b"name: \xff", "spec.yaml:1: the file is not UTF-8 text. Save it as UTF-8."),
        (b"a" * 1_000_001, "spec.yaml: the file has 1000001 bytes; a spec has at most 1000000."),
        ("a: 1\n---\nb: 2", "spec.yaml:2: the file is not YAML: but found another document"),
        ("\x01", "spec.yaml: the file is not YAML: unacceptable character #x0001"),
        ("- a", "spec.yaml:1: the spec must be a map, not a list. Write it as lines of `key: value`."),
        ("just text", "spec.yaml:1: the spec must be a map, not text. Write it as lines of `key: value`."),
    ],
)
def test_what_is_no_spec_at_all_is_refused(write, text, expected):
    (problem,) = problems_of(write(text))
    assert problem.startswith(expected)


def test_tags_and_keys_written_twice_are_told_together_with_the_rest(write):
    text = """\
name: a
name: b
labels: !!python/name:os.system
colour: !!int red
composing_flows: [{name: b}]
? [x]
: y
"""
    only_plain = "A spec holds text, numbers, lists and maps, without tags; a key is text or a number."
    problems = problems_of(write(text))
    assert "spec.yaml:2: the key 'name' is already on line 1. Keep one of the two." in problems
    assert f"spec.yaml:3: !!python/name:os.system is not allowed here. {only_plain}" in problems
    assert "spec.yaml:4: 'red' cannot be read: invalid literal for int() with base 10: 'red'." in problems
    assert f"spec.yaml:6: !!seq is not allowed here. {only_plain}" in problems
    assert any(problem.startswith("spec.yaml:4: unknown key 'colour'.") for problem in problems)


def test_a_number_that_python_does_not_write_is_refused(write):
    text = f"name: a\ncomposing_flows: [{{name: b}}]\nlabels: 0x{'f' * 5000}\nimage: {'9' * 1001}\n"
    assert problems_of(write(text)) == [
        f"spec.yaml:3: '0x{'f' * 38}' cannot be read: a number has at most 1000 digits.",
        f"spec.yaml:4: '{'9' * 40}' cannot be read: a number has at most 1000 digits.",
    ]


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "nowhere.yaml"
    (problem,) = problems_of(path)
    remedy = "Give the path of a YAML file."
    assert problem == f"{path}: the spec cannot be read: No such file or directory. {remedy}"
    (problem,) = problems_of(tmp_path)
    assert problem == f"{tmp_path}: the spec cannot be read: Is a directory. {remedy}"


STEP_KEYS = "alias, entrypoint, image, mapped_parameters, name, parameters, project_name, run_config"
MAP_KEYS = "attribute_index, map_type, parent_flow_name, parent_project_name, parent_task_name"


def test_every_part_of_a_wrong_form_is_told_in_the_order_of_the_file(write):
    text = """\
name: 3
labels: one
composing_flows:
  - name: a/b
  - [name, c]
  - alias: x
  - name: y
    colour: red
    mapped_parameters:
      p: {parent_flow_nam: y}
      q: {parent_flow_name: "", map_type: fil}
      3: {parent_flow_name: y}
    parameters: [1]
"""
    assert problems_of(write(text)) == [
        "spec.yaml:1: name must be text, not a number. Write it in quotes.",
        "spec.yaml:2: labels must be a list, not text. Begin each item with a dash: `- item`.",
        "spec.yaml:4, step 'a/b': 'a/b' is not a name for a flow. Leave out the characters / % & < >.",
        (
            "spec.yaml:5, step '2': composing_flows item 2 must be a map, not a list. "
            "Write it as lines of `key: value`."
        ),
        "spec.yaml:6, step 'x': the key 'name' is missing. Write name: and its value.",
        f"spec.yaml:8, step 'y': unknown key 'colour'. Choose one of: {STEP_KEYS}.",
        (
            "spec.yaml:10, step 'y', parameter 'p': the key 'parent_flow_name' is missing. "
            "Write parent_flow_name: and its value."
        ),
        (
            "spec.yaml:10, step 'y', parameter 'p': unknown key 'parent_flow_nam'. "
            f"Did you mean 'parent_flow_name'? Choose one of: {MAP_KEYS}."
        ),
        "spec.yaml:11, step 'y', parameter 'q': parent_flow_name is empty.",
        (
            "spec.yaml:11, step 'y', parameter 'q': unknown map_type 'fil'. "
            "Did you mean 'file'? Choose one of: db, file, raw."
        ),
        (
            "spec.yaml:12, step 'y', parameter 3: the name 3 in mapped_parameters must be text, "
            "not a number. "
            "Write it in quotes."
        ),
        "spec.yaml:13, step 'y': parameters must be a map, not a list. Write it as lines of `key: value`.",
    ]


def test_in_a_dict_the_place_is_the_step_and_the_parameter():
    step = {"name": "b", "mapped_parameters": {"x": {"parent_flow_name": "c", "attribute_index": [1.5]}}}
    assert problems_of({"name": "a", "lables": [], "composing_flows": [step]}) == [
        (
            "the spec: unknown key 'lables'. Did you mean 'labels'? "
            "Choose one of: composing_flows, image, labels, name, project_name."
        ),
        (
            "step 'b', parameter 'x': attribute_index must be a list of keys and positions, as "
            "[outputs, y, 0]; "
            "found [1.5]."
        ),
        "step 'b', parameter 'x': there is no step 'c'. Choose one of: b.",
    ]


@pytest.mark.parametrize("steps", [{}, {"b": {"name": "b"}}, "b", None, []])
def test_steps_are_a_list(steps):
    # The predecessor discarded a dict of steps without a word (SCH-12).
    (problem,) = problems_of({"name": "a", "composing_flows": steps})
    assert problem.startswith("the spec: composing_flows ")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(
    "name alias composing_flows mapped_parameters parameters x parent_flow_name map_type".split()  # noqa: SIM905
)
PATCHES = ("", "\t", "- ", ": ", "[", "}", "'", "&a ", "*a", "!!x ", "\n", "%", "<<")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_changed_spec_is_read_or_refused(data):
    spec = yaml.safe_load(PREDECESSOR)
    for _ in range(data.draw(st.integers(1, 4))):
        holder = spec
        while True:
            places = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not places:
                break
            place = data.draw(st.sampled_from(places))
            inner = holder[place]
            if isinstance(inner, dict | list) and data.draw(st.booleans()):
                holder = inner
                continue
            if data.draw(st.booleans()):
                holder[place] = data.draw(plain | keys)
            elif isinstance(holder, dict):
                holder[data.draw(keys | st.text(max_size=6))] = holder.pop(place)
            else:
                del holder[place]
            break
    try:
        loaded = load_spec(spec)
    except SpecError:
        return
    assert loaded == Spec.model_validate(spec)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_changed_text_is_read_or_refused(write, data):
    text = PREDECESSOR
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        patch = data.draw(st.sampled_from(PATCHES))
        text = text[:start] + (patch or data.draw(st.text(max_size=3))) + text[end:]
    path = write(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(SpecError):
        assert load_spec(path).composing_flows
