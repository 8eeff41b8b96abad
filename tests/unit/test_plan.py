"""The graph of a spec."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lume_services.flows import Edge, Plan, load_spec

DIAMOND = {
    "name": "diamond",
    "composing_flows": [
        {"name": "alone"},
        {"name": "top"},
        {"name": "side", "alias": "left", "mapped_parameters": {"x": {"parent_flow_name": "top"}}},
        {
            "name": "side",
            "alias": "right",
            "mapped_parameters": {
                "x": {"parent_flow_name": "top", "parent_task_name": "save", "map_type": "file"}
            },
        },
        {
            "name": "bottom",
            "mapped_parameters": {
                "a": {"parent_flow_name": "left"},
                "b": {"parent_flow_name": "right", "map_type": "db", "attribute_index": ["outputs", "y", 0]},
                "c": {"parent_flow_name": "top"},
            },
        },
    ],
}


@pytest.fixture
def diamond():
    return Plan.from_spec(load_spec(DIAMOND))


def test_the_graph_of_a_diamond(diamond):
    assert list(diamond.steps) == ["alone", "top", "left", "right", "bottom"]
    assert diamond.generations == (("alone", "top"), ("left", "right"), ("bottom",))
    assert diamond.parents["bottom"] == {"left", "right", "top"}
    assert diamond.upstream["bottom"] == {"left", "right", "top"}
    assert diamond.upstream["top"] == frozenset()
    assert diamond.downstream["top"] == {"left", "right", "bottom"}
    assert diamond.downstream["alone"] == frozenset()


def test_an_edge_knows_what_goes_over_it(diamond):
    assert diamond.into("right") == (Edge("top", "right", "x", "save", "file"),)
    assert diamond.into("bottom")[1] == Edge("right", "bottom", "b", None, "db", ("outputs", "y", 0))
    assert len(diamond.edges) == 5


@st.composite
def specs(draw):
    steps = []
    for number in range(draw(st.integers(1, 30))):
        parents = draw(st.lists(st.integers(0, number - 1), max_size=4)) if number else []
        mapped = {f"p{port}": {"parent_flow_name": f"s{parent}"} for port, parent in enumerate(parents)}
        steps.append({"name": "f", "alias": f"s{number}", "mapped_parameters": mapped})
    return {"name": "random", "composing_flows": steps}


@given(specs())
def test_the_generations_respect_every_edge(spec):
    plan = Plan.from_spec(load_spec(spec))
    generation = {step: number for number, steps in enumerate(plan.generations) for step in steps}
    assert generation.keys() == plan.steps.keys()
    assert all(generation[edge.parent] < generation[edge.child] for edge in plan.edges)
    for step, number in generation.items():
        assert number == 0 or any(generation[parent] == number - 1 for parent in plan.parents[step])
        assert all(step in plan.downstream[other] for other in plan.upstream[step])
