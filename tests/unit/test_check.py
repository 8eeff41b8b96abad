"""A spec against its flows: one report of all problems."""

import pytest
from checked_specs import START, USE, check, feeding, folder_with_flows, problems_of

MAP_KEYS = "attribute_index, map_type, parent_flow_name, parent_project_name, parent_task_name"
TOP_KEYS = "composing_flows, image, labels, name, project_name"
NO_RETURN = "Leave parent_task_name out to take the flow's return value."


@pytest.fixture
def here(tmp_path):
    with folder_with_flows(tmp_path):
        yield tmp_path


MISTAKES = {
    "unknown key": (
        START.replace("parameters:", "paramters:"),
        (
            "spec.yaml:5, step 'make': unknown key 'paramters'. Did you mean 'parameters'? Choose one of: "
            "alias, entrypoint, image, mapped_parameters, name, parameters, project_name, run_config."
        ),
    ),
    "misspelt parameter": (
        feeding("vlaue", "{parent_flow_name: make}") + "    parameters: {value: 1}\n",
        (
            "spec.yaml:9, step 'use', parameter 'vlaue': the flow 'use' has no such parameter. "
            "Did you mean 'value'? Choose one of: scale, text, value."
        ),
    ),
    "missing parent": (
        feeding("value", "{parent_flow_name: mak}"),
        (
            "spec.yaml:9, step 'use', parameter 'value': there is no step 'mak'. Did you mean 'make'? "
            "Choose one of: make, use."
        ),
    ),
    "parent after child": (
        """\
        name: demo
        composing_flows:
          - name: use
            entrypoint: demo_flows:use
            mapped_parameters:
              value: {parent_flow_name: make}
          - name: make
            entrypoint: demo_flows:make
            parameters: {n: 1}
        """,
        (
            "spec.yaml:6, step 'use', parameter 'value': the step 'make' is defined later on line 7. "
            "Move it up: a step stands below the steps that it takes values from."
        ),
    ),
    "cycle": (
        """\
        name: demo
        composing_flows:
          - name: use
            entrypoint: demo_flows:use
            mapped_parameters:
              value: {parent_flow_name: make}
          - name: make
            entrypoint: demo_flows:make
            mapped_parameters:
              n: {parent_flow_name: use}
        """,
        (
            "spec.yaml:6, step 'use', parameter 'value': the steps wait for each other: use -> make -> use. "
            "Take one of these mappings out."
        ),
    ),
    "task that does not exist": (
        feeding("value", "{parent_flow_name: make, parent_task_name: dubble}"),
        (
            "spec.yaml:9, step 'use', parameter 'value': the flow 'make' calls no task 'dubble'. "
            f"Did you mean 'double'? Choose one of: double, save_text_file. {NO_RETURN}"
        ),
    ),
    "wrong type": (
        START.replace("n: 1", "n: one"),
        (
            "spec.yaml:5, step 'make', parameter 'n': 'one' does not fit int: "
            "Input should be a valid integer, unable to parse string as an integer."
        ),
    ),
    "duplicate name": (
        START + START.partition("composing_flows:\n")[2],
        (
            "spec.yaml:6, step 'make': the step 'make' is already defined on line 3. "
            "Give this one an alias of its own, as `alias: make_2`."
        ),
    ),
    "bad attribute_index": (
        feeding("value", "{parent_flow_name: make, attribute_index: outputs}"),
        (
            "spec.yaml:9, step 'use', parameter 'value': attribute_index must be a list of keys "
            "and positions, "
            "as [outputs, y, 0]; found 'outputs'."
        ),
    ),
    "unknown map_type": (
        feeding("value", "{parent_flow_name: make, map_type: flie}"),
        (
            "spec.yaml:9, step 'use', parameter 'value': unknown map_type 'flie'. Did you mean 'file'? "
            "Choose one of: db, file, raw."
        ),
    ),
    "missing required parameter": (
        START.replace("n: 1", "label: b"),
        (
            "spec.yaml:3, step 'make': the parameter 'n' of the flow 'make' has no value. Give it "
            "for a run, as "
            "--set make.n=VALUE, or write it under parameters, or map it from another step."
        ),
    ),
    "missing module": (
        START.replace("demo_flows", "dmo_flows"),
        (
            "spec.yaml:4, step 'make': there is no module 'dmo_flows'. Install its package, or "
            "put it into {here}."
        ),
    ),
    "not a flow": (
        START.replace("demo_flows:make", "demo_flows:plain"),
        (
            "spec.yaml:4, step 'make': demo_flows:plain is of type function, not a flow. "
            "Give a flow: a function decorated with @prefect.flow."
        ),
    ),
    "empty file": ("", "spec.yaml: the file is empty. Write a name and composing_flows."),
    "not YAML": (
        "name: demo\ncomposing_flows: [",
        (
            "spec.yaml:2: the file is not YAML: expected the node content, but found '<stream end>', "
            "while parsing a flow node. Check the indentation, the colons and the quotes around this line."
        ),
    ),
    "a list where a map belongs": (
        USE + "    mapped_parameters:\n      - value\n",
        (
            "spec.yaml:8, step 'use': mapped_parameters must be a map, not a list. "
            "Write it as lines of `key: value`."
        ),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_names_the_place_and_the_remedy(here, mistake):
    text, expected = MISTAKES[mistake]
    before = sorted(here.iterdir())
    assert expected.format(here=here) in problems_of(text, parameters={})
    assert {path.name for path in set(here.iterdir()) - set(before)} <= {"spec.yaml", "__pycache__"}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_not_told_as_several(here, mistake):
    assert len(problems_of(MISTAKES[mistake][0], parameters={})) == 1


def test_several_mistakes_are_told_together_in_the_order_of_the_file(here):
    text = """\
        name: demo
        labells: [a]
        composing_flows:
          - name: make
            entrypoint: demo_flows:make
            parameters: {m: 3, label: 5}
          - name: use
            entrypoint: demo_flows:use
            colour: red
            mapped_parameters:
              valeu: {parent_flow_name: make, map_type: rwa}
              value: {parent_flow_name: mak}
              scale: {parent_flow_name: make, parent_task_name: save_txt_file, attribute_index: []}
              text: {parent_flow_name: make}
          - name: use
            entrypoint: demo_flows:yse
        """
    places = [
        problem.partition(": ")[0]
        for problem in problems_of(text, parameters={"use": {"value": 1}, "mkae": {}})
    ]
    assert places == [
        "spec.yaml:1",  # a value for a step that is not there
        "spec.yaml:2",  # labells
        "spec.yaml:4, step 'make'",  # n has no value
        "spec.yaml:6, step 'make', parameter 'm'",
        "spec.yaml:6, step 'make', parameter 'label'",
        "spec.yaml:7, step 'use', parameter 'value'",  # a value is given, but a step gives it
        "spec.yaml:9, step 'use'",  # colour
        "spec.yaml:11, step 'use', parameter 'valeu'",  # no such parameter
        "spec.yaml:11, step 'use', parameter 'valeu'",  # rwa
        "spec.yaml:12, step 'use', parameter 'value'",  # mak
        "spec.yaml:13, step 'use', parameter 'scale'",  # save_txt_file
        "spec.yaml:13, step 'use', parameter 'scale'",  # attribute_index
        "spec.yaml:14, step 'use', parameter 'text'",  # int for str
        "spec.yaml:15, step 'use'",  # the second use
        "spec.yaml:16, step 'use'",  # yse
    ]


def test_a_good_spec(here):
    checked = check(feeding("value", "{parent_flow_name: make, parent_task_name: double}"), parameters={})
    assert {name: found.name for name, found in checked.flows.items()} == {"make": "make", "use": "use"}
    assert checked.warnings == ()
    assert list(checked.signatures["use"].parameters) == ["value", "scale", "text"]


def test_a_value_may_be_given_later(here):
    assert check(START.replace("n: 1", "label: b")).spec.name == "demo"
    assert check(START.replace("n: 1", "label: b"), parameters={"make": {"n": "7"}}).spec.name == "demo"


def test_a_value_for_a_run_replaces_one_of_the_spec(here):
    assert check(START, parameters={"make": {"n": 2}})
    (problem,) = problems_of(START, parameters={"make": {"n": "two"}})
    assert problem.startswith("spec.yaml:5, step 'make', parameter 'n': 'two' does not fit int:")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (
            {"mkae": {"n": 1}},
            (
                "spec.yaml:1: values are given for 'mkae', but there is no such step. Did you mean 'make'? "
                "Choose one of: make, use."
            ),
        ),
        (
            {"use": {"scael": 1}},
            (
                "spec.yaml:6, step 'use', parameter 'scael': the flow 'use' has no such parameter. "
                "Did you mean 'scale'? Choose one of: scale, text."
            ),
        ),
        (
            {"use": {"value": 1}},
            (
                "spec.yaml:6, step 'use', parameter 'value': a value is given, but the step 'make' "
                "gives this "
                "parameter. Leave the value out, or take the mapping out of the spec."
            ),
        ),
        (
            {"use": {"scale": -1}},
            (
                "spec.yaml:6, step 'use', parameter 'scale': -1 does not fit float: Input should be "
                "greater than 0."
            ),
        ),
        ({"use": 3}, "spec.yaml:6, step 'use': the values of a step must be a dict by parameter, not 3."),
    ],
)
def test_values_for_a_run_are_checked(here, parameters, expected):
    assert problems_of(feeding("value", "{parent_flow_name: make}"), parameters=parameters) == [expected]


def test_values_are_checked_by_the_rules_of_the_annotation(here):
    text = "name: demo\ncomposing_flows: [{name: log, entrypoint: 'demo_flows:log'}]\n"
    assert check(text, parameters={"log": {"when": "2024-05-06", "password": "secret", "any": 1}})
    problems = problems_of(text, parameters={"log": {"when": "soon", "password": 4711}})
    assert problems[0].startswith("spec.yaml:2, step 'log', parameter 'when': 'soon' does not fit datetime:")
    assert problems[1] == (
        "spec.yaml:2, step 'log', parameter 'password': the value does not fit SecretStr: "
        "Input should be a valid string."
    )


def test_a_default_may_be_a_pydantic_field(here):
    text = "name: demo\ncomposing_flows: [{name: bounded, entrypoint: 'demo_flows:bounded'}]\n"
    assert check(text, parameters={"bounded": {"x": 1}})
    (problem,) = problems_of(text, parameters={})
    assert "the parameter 'x' of the flow 'bounded' has no value" in problem
    (problem,) = problems_of(text, parameters={"bounded": {"x": 1, "y": 0}})
    assert "parameter 'y': 0 does not fit int: Input should be greater than 0." in problem


def test_a_step_whose_form_is_wrong_misses_no_parameter_that_it_mentions(here):
    text = USE + "    mapped_paramters:\n      value: {parent_flow_name: make}\n"
    (problem,) = problems_of(text, parameters={})
    assert "unknown key 'mapped_paramters'" in problem


def test_the_types_between_steps(here):
    text = feeding("text", "{parent_flow_name: make, parent_task_name: save_text_file, map_type: file}")
    (problem,) = problems_of(text)
    assert problem == (
        "spec.yaml:9, step 'use', parameter 'text': the reference to the file of 'make' is dict, which never "
        "fits the parameter's str. Map another value, or change one of the two annotations."
    )
    (problem,) = problems_of(feeding("text", "{parent_flow_name: make}"))
    assert "the return value of 'make' is int, which never fits the parameter's str." in problem
    (problem,) = problems_of(feeding("text", "{parent_flow_name: make, parent_task_name: double}"))
    assert "the result of the task 'double' of 'make' is int, which never fits" in problem
    # Called several times, the task would hand over a list.
    assert check(
        feeding("text", "{parent_flow_name: make, parent_task_name: save_text_file, attribute_index: [a]}")
    )


def test_the_parts_of_a_value(here):
    (problem,) = problems_of(feeding("value", "{parent_flow_name: make, attribute_index: [a]}"))
    assert problem == (
        "spec.yaml:9, step 'use', parameter 'value': the return value of 'make': int has no 'a'. "
        "It has nothing inside that could be chosen."
    )


def test_a_stored_result_has_fields(here):
    def mapped(parameter, index, task="save_text_file"):
        return feeding(
            parameter,
            f"{{parent_flow_name: make, parent_task_name: {task}, map_type: db, attribute_index: {index}}}",
        )

    assert check(mapped("value", "[outputs, y]"))
    assert check(mapped("text", "[project_name]"))
    place = "spec.yaml:9, step 'use', parameter"
    (problem,) = problems_of(mapped("value", "[output, y]"))
    assert problem.startswith(
        f"{place} 'value': the stored result of 'make': Result has no 'output'. "
        "Did you mean 'outputs'? Choose one of: date_modified, flow_id, id, inputs, "
    )
    (problem,) = problems_of(mapped("text", "[outputs]"))
    assert problem.startswith(
        f"{place} 'text': the stored result of 'make' at ['outputs'] is dict[str, Any], which never fits "
        "the parameter's str."
    )
    (problem,) = problems_of(mapped("value", "[outputs, y]", task="double"))
    assert problem == (
        f"{place} 'value': the result of the task 'double' of 'make' is int, but a reference to a result "
        "is a dict. Map what save_db_result returns."
    )
