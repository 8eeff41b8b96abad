"""The whole as one Prefect flow: the form of its parameters, and the values that come as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import pytest
from prefect import flow
from prefect.utilities.schema_tools import is_valid_schema, validate
from pydantic import BaseModel, Field

from lume_services.errors import FlowParametersError
from lume_services.flows import FlowOfFlows


class Beam(BaseModel):
    charge: float
    name: str = "injector"


@flow
def track(
    beam: Beam,
    k1: Annotated[float, Field(ge=0)],
    kind: Literal["fast", "exact"] = "fast",
    when: datetime | None = None,
) -> dict[str, Any]:
    return {"charge": beam.charge, "beam": type(beam).__name__, "k1": k1, "kind": kind, "when": when}


@flow
def fit(tracked: dict[str, Any], order: int = 2) -> int:
    return order


@flow
def report(order: int) -> int:
    return order


SPEC = {
    "name": "whole",
    "composing_flows": [
        {"name": "track", "parameters": {"k1": 2.5}},
        {"name": "fit", "mapped_parameters": {"tracked": {"parent_flow_name": "track"}}},
        {"name": "report", "mapped_parameters": {"order": {"parent_flow_name": "fit"}}},
    ],
}


def whole(spec: dict[str, Any] = SPEC) -> Any:
    return FlowOfFlows.from_yaml(spec, [track, fit, report]).as_flow()


def groups(composed: Any) -> dict[str, Any]:
    """The forms of the steps, by the names of their parameters."""
    schema = composed.parameters.model_dump()
    is_valid_schema(schema)  # raises where it is none
    return {
        name: schema["definitions"][one["$ref"].rpartition("/")[2]]
        for name, one in schema["properties"].items()
    }


def test_every_step_has_a_group_of_what_no_other_step_gives():
    assert {name: list(group["properties"]) for name, group in groups(whole()).items()} == {
        "track": ["beam", "k1", "kind", "when"],
        "fit": ["order"],
        "report": [],
    }


def test_types_and_limits_and_defaults_are_in_the_form():
    found = groups(whole())["track"]
    assert found["properties"]["k1"] == {"title": "k1", "type": "number", "minimum": 0, "default": 2.5}
    assert found["properties"]["kind"]["enum"] == ["fast", "exact"]
    assert found["properties"]["when"]["anyOf"] == [
        {"format": "date-time", "type": "string"},
        {"type": "null"},
    ]
    assert found["properties"]["beam"]["$ref"] == "#/definitions/Beam"
    assert found["additionalProperties"] is False


def test_a_group_is_required_where_one_of_its_parameters_is():
    schema = whole().parameters.model_dump()
    assert schema["required"] == ["track"]
    assert groups(whole())["track"]["required"] == ["beam"]
    assert [schema["properties"][name]["default"] for name in ("fit", "report")] == [{}, {}]


@pytest.mark.parametrize(
    ("given", "valid"),
    [
        ({"track": {"beam": {"charge": 1e-12}}}, True),
        ({"track": {"beam": {"charge": 1e-12}, "k1": -1}}, False),
        ({"track": {"beam": {}}}, False),
        ({"track": {"beam": {"charge": 1}, "kind": "slow"}}, False),
        ({"track": {"beam": {"charge": 1}, "k2": 1}}, False),
        ({"fit": {"order": 1}}, False),
    ],
)
def test_the_form_takes_what_a_run_takes(given, valid):
    schema = whole().parameters.model_dump()
    assert bool(validate(given, schema)) is not valid


def test_values_that_come_as_json_are_those_that_the_flows_want(lume_context):
    given = {
        "track": {"beam": {"charge": 1}, "kind": "exact", "when": "2024-05-06T07:08:09Z"},
        "fit": {"order": 3},
    }
    results = lume_context.scheduling_service().run_and_return(flow=whole(), parameters=given)
    when = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    tracked = {"charge": 1.0, "beam": "Beam", "k1": 2.5, "kind": "exact", "when": when}
    assert results == {"track": tracked, "fit": 3, "report": 3}


def test_a_group_that_is_missing_is_told(lume_context):
    with pytest.raises(FlowParametersError, match="track: required and not given"):
        lume_context.scheduling_service().run(whole(), {"fit": {"order": 1}})


def test_names_that_no_parameter_can_have():
    names = ["beam line", "beam-line", "2nd", "class", "wait_for", "Beam", "ß", "model_dump", "_hidden"]
    steps = [{"name": "track", "alias": name} for name in names]
    composed = whole({"name": "names", "composing_flows": steps})
    found = groups(composed)
    assert list(found) == [
        "beam_line",
        "beam_line_",
        "step_2nd",
        "class_",
        "wait_for_",
        "Beam",
        "ß",
        "step_model_dump",
        "step__hidden",
    ]
    assert [group["title"] for group in found.values()] == names


def test_its_version_is_the_fingerprint_of_the_spec():
    versions = {whole(SPEC | {"labels": labels}).version for labels in (["a"], ["b"])}
    assert len(versions) == 2
    assert whole().version == whole(dict(reversed(SPEC.items()))).version
