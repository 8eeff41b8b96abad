"""What is wrong between the steps of a spec is told from the spec alone."""

from pathlib import Path

import pytest

from lume_services.errors import SpecError
from lume_services.flows.load import load_spec


def problems_of(source):
    with pytest.raises(SpecError) as caught:
        load_spec(source)
    return [str(problem) for problem in caught.value.problems]


def test_mapping_errors_between_steps(tmp_path, monkeypatch):
    text = """\
name: a
composing_flows:
  - name: first
    project_name: one
  - name: first
  - name: second
    alias: left
  - name: second
    alias: right
  - name: third
    mapped_parameters:
      u: {parent_flow_name: firts}
      v: {parent_flow_name: second}
      w: {parent_flow_name: last}
      x: {parent_flow_name: third}
      y: {parent_flow_name: first, map_type: file, attribute_index: [0]}
      z: {parent_flow_name: first, map_type: db, attribute_index: [0]}
    parameters:
      u: 1
  - name: last
    mapped_parameters:
      p: {parent_flow_name: later}
  - name: later
    mapped_parameters:
      q: {parent_flow_name: last}
"""
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(text)
    assert problems_of("spec.yaml") == [
        (
            "spec.yaml:5, step 'first': the step 'first' is already defined on line 3. "
            "Give this one an alias of its own, as `alias: first_2`."
        ),
        (
            "spec.yaml:12, step 'third', parameter 'u': the parameter is mapped and has a value "
            "under parameters. "
            "Remove one of the two."
        ),
        (
            "spec.yaml:12, step 'third', parameter 'u': there is no step 'firts'. Did you mean 'first'? "
            "Choose one of: first, last, later, left, right, third."
        ),
        (
            "spec.yaml:13, step 'third', parameter 'v': there is no step 'second'. "
            "The flow 'second' runs as: left, right. Write one of these."
        ),
        (
            "spec.yaml:14, step 'third', parameter 'w': the step 'last' is defined later on line 20. "
            "Move it up: a step stands below the steps that it takes values from."
        ),
        (
            "spec.yaml:15, step 'third', parameter 'x': the steps wait for each other: third -> third. "
            "Take one of these mappings out."
        ),
        (
            "spec.yaml:16, step 'third', parameter 'y': attribute_index does not go with map_type file: "
            "the step gets the whole reference. Remove attribute_index, and load the file in the step."
        ),
        (
            "spec.yaml:17, step 'third', parameter 'z': the attribute_index of a stored result "
            "cannot begin with 0. "
            "Begin with a field of the result, as [outputs, y]."
        ),
        (
            "spec.yaml:22, step 'last', parameter 'p': the steps wait for each other: last -> later -> last. "
            "Take one of these mappings out."
        ),
    ]


def test_a_long_chain_of_diamonds_is_checked_at_once():
    steps = [{"name": "s0", "mapped_parameters": {"x": {"parent_flow_name": "s80"}}}]
    for number in range(1, 81):
        parents = range(max(0, number - 3), number)
        mapped = {f"p{parent}": {"parent_flow_name": f"s{parent}"} for parent in parents}
        steps.append({"name": f"s{number}", "mapped_parameters": mapped})
    (problem,) = problems_of({"name": "a", "composing_flows": steps})
    assert "the steps wait for each other: s0 -> s2 -> s5" in problem
    assert "s77 -> s80 -> s0." in problem
