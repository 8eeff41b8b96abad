"""Random specs: valid ones run in an order that respects every edge, of invalid ones each fault is told."""

from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect import flow

from lume_services.errors import SpecError
from lume_services.flows import FlowOfFlows
from lume_services.flows.check import check_spec

ENDED: set[int] = set()
"""The numbers of the steps that have run."""


def end(number: int, after: list[int]) -> None:
    assert ENDED.issuperset(after)
    ENDED.add(number)


@flow
def count(number: int, after: list[int], a: int = 0, b: float = 0.0) -> int:
    end(number, after)
    return number


@flow
def name(number: int, after: list[int], text: str = "", a: int | None = None) -> str:
    end(number, after)
    return str(number)


@flow
def measure(number: int, after: list[int], **more: Any) -> dict[str, list[int]]:
    end(number, after)
    return {"sizes": [number, number + 1]}


@flow
def pair(number: int, after: list[int], values: list[int] | None = None) -> tuple[int, str]:
    end(number, after)
    return number, str(number)


FLOWS = [count, name, measure, pair]
# What a step gives, and what its parameters take, by type.
GIVES = {
    "count": {"int": None},
    "name": {"str": None},
    "measure": {"int": ["sizes", -1], "list": ["sizes"]},
    "pair": {"int": [0], "str": [1]},
}
TAKES = {
    "count": {"a": "int", "b": "int"},
    "name": {"text": "str", "a": "int"},
    "measure": {"first": "int", "second": "str", "third": "list"},
    "pair": {"values": "list"},
}
CONSTANTS = {"int": st.integers(0, 9) | st.sampled_from(["1", 2.0]), "str": st.text(max_size=5)}


@st.composite
def specs(draw):
    """Draw a valid spec of up to 30 steps, and which steps each one takes values from."""
    steps: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 30))):
        kind = draw(st.sampled_from(list(TAKES)))
        mapped, constants = {}, {}
        for parameter, wanted in TAKES[kind].items():
            sources = [step for step in steps if wanted in GIVES[step["name"]]]
            if sources and draw(st.booleans()):
                mapped[parameter] = mapping(draw(st.sampled_from(sources)), wanted)
            elif wanted in CONSTANTS and draw(st.booleans()):
                constants[parameter] = draw(CONSTANTS[wanted])
        parents = {each["parent_flow_name"] for each in mapped.values()}
        after = [step["parameters"]["number"] for step in steps if step_name(step) in parents]
        step = {"name": kind, "parameters": {"number": number, "after": after, **constants}}
        if kind in map(step_name, steps) or draw(st.booleans()):
            step["alias"] = f"step {number}"
        steps.append({**step, "mapped_parameters": mapped})
    return {"name": "random", "composing_flows": steps}


def step_name(step):
    return step.get("alias") or step["name"]


def mapping(parent, wanted):
    index = GIVES[parent["name"]][wanted]
    mapped = {"parent_flow_name": step_name(parent), "map_type": "raw"}
    return {**mapped, "attribute_index": index} if index else mapped


@settings(max_examples=100, deadline=None)
@given(specs())
def test_a_valid_spec_has_no_problem(spec):
    checked = check_spec(spec, FLOWS, {})
    assert [step.step for step in checked.spec.composing_flows] == list(
        map(step_name, spec["composing_flows"])
    )


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(specs())
def test_a_valid_spec_runs_in_an_order_that_respects_every_edge(lume_context, spec):
    ENDED.clear()
    run = FlowOfFlows.from_yaml(spec, FLOWS).run()
    assert set(range(len(spec["composing_flows"]))) == ENDED
    assert list(run.results) == list(map(step_name, spec["composing_flows"]))


# faults -------------------------------------------------------------------------------------------


def faulty(kind="count", number=0, **more):
    return {"name": kind, "alias": f"faulty {number}", "parameters": {"number": 0, "after": []}, **more}


def from_first(steps, **more):
    return {"parent_flow_name": step_name(steps[0]), **more}


def unknown_parent(steps, number):
    steps.append(faulty(number=number, mapped_parameters={"a": {"parent_flow_name": "nowhere"}}))
    return "there is no step 'nowhere'"


def cycle(steps, number):
    names = f"faulty {number}", f"back {number}"
    steps.append(faulty(number=number, mapped_parameters={"b": {"parent_flow_name": names[1]}}))
    steps.append({**faulty(mapped_parameters={"b": {"parent_flow_name": names[0]}}), "alias": names[1]})
    return f"the steps wait for each other: {names[0]} -> {names[1]} -> {names[0]}"


def wrong_order(steps, number):
    steps.insert(
        0, faulty("measure", number, mapped_parameters={"x": {"parent_flow_name": f"later {number}"}})
    )
    steps.append({**faulty(), "alias": f"later {number}"})
    return f"the step 'later {number}' is defined later"


def duplicate_step(steps, number):
    steps += [faulty(number=number), faulty(number=number)]
    return f"the step 'faulty {number}' is already defined"


def unknown_parameter(steps, number):
    steps.append(faulty("pair", number))
    steps[-1]["parameters"]["nmber"] = 1
    return "the flow 'pair' has no such parameter"


def unknown_mapped_parameter(steps, number):
    steps.append(faulty("pair", number, mapped_parameters={"value": from_first(steps)}))
    return "the flow 'pair' has no such parameter"


def missing_value(steps, number):
    steps.append(faulty(number=number, parameters={"after": []}))
    return "the parameter 'number' of the flow 'count' has no value"


def wrong_constant(steps, number):
    steps.append(faulty(number=number, parameters={"number": "many", "after": []}))
    return "'many' does not fit int"


def mapped_and_constant(steps, number):
    steps += [faulty(number=number), {**faulty("measure"), "alias": f"takes {number}"}]
    steps[-1]["mapped_parameters"] = {"number": {"parent_flow_name": f"faulty {number}"}}
    return "the parameter is mapped and has a value under parameters"


def unknown_key(steps, number):
    steps.append(faulty(number=number, colour="red"))
    return "unknown key 'colour'"


def unknown_map_type(steps, number):
    steps.append(faulty("measure", number, mapped_parameters={"x": from_first(steps, map_type="rwa")}))
    return "unknown map_type 'rwa'"


def wrong_type(steps, number):
    steps += [faulty(number=number), {**faulty("name"), "alias": f"takes {number}"}]
    steps[-1]["mapped_parameters"] = {"text": {"parent_flow_name": f"faulty {number}"}}
    return f"the return value of 'faulty {number}' is int, which never fits the parameter's str"


def no_such_part(steps, number):
    steps += [faulty("pair", number), {**faulty(), "alias": f"takes {number}"}]
    steps[-1]["mapped_parameters"] = {"a": {"parent_flow_name": f"faulty {number}", "attribute_index": [2]}}
    return "tuple[int, str] has no 2"


def unknown_flow(steps, number):
    steps.append(faulty("cuont", number))
    return "the flow 'cuont' is not known"


FAULTS = [
    *(unknown_parent, cycle, wrong_order, duplicate_step, unknown_parameter, unknown_mapped_parameter),
    *(missing_value, wrong_constant, mapped_and_constant, unknown_key, unknown_map_type, wrong_type),
    *(no_such_part, unknown_flow),
]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(specs(), st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4), st.booleans())
def test_an_invalid_spec_is_refused_with_each_true_reason_and_no_other(tmp_path, spec, faults, as_file):
    reasons = [fault(spec["composing_flows"], number) for number, fault in enumerate(faults)]
    ENDED.clear()
    source = spec
    if as_file:
        source = tmp_path / "spec.yaml"
        source.write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True))
    with pytest.raises(SpecError) as caught:
        check_spec(source, FLOWS, {})
    told = [str(problem) for problem in caught.value.problems]
    assert all(any(reason in problem for problem in told) for reason in reasons)
    assert len(told) == len(reasons)
    assert all(not as_file or problem.startswith(f"{source}:") for problem in told)
    assert not ENDED
