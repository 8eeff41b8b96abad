"""A spec that travels to its job in an environment variable, and the flow that is made of it there."""

from __future__ import annotations

import inspect
import json
import string
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect import flow

from lume_services.config import build_context, use_context
from lume_services.errors import BackendError, NotAFlowError
from lume_services.flows import FlowOfFlows
from lume_services.flows.travel import PREFIX, travelled
from lume_services.services.scheduling.backends.deployments import importable_name_of
from lume_services.services.scheduling.travelling import SPEC_VARIABLE
from lume_services.values import fingerprint

SAFE = set(string.ascii_letters + string.digits + "-_=")


@flow
def take(value: Any = None, **more: Any) -> Any:
    return value


def spec_of(value: Any) -> dict[str, Any]:
    steps = [
        {"name": "take", "alias": "first {{ step }}", "parameters": {"value": value}},
        {
            "name": "take",
            "alias": "last",
            "mapped_parameters": {"value": {"parent_flow_name": "first {{ step }}"}},
        },
    ]
    return {"name": "travelling", "project_name": "tests", "labels": ["a"], "composing_flows": steps}


def sent(composed: FlowOfFlows, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put the spec where its job finds it."""
    text = composed.as_flow().environment()[SPEC_VARIABLE]
    monkeypatch.setenv(SPEC_VARIABLE, text)
    return text


# What YAML makes of a file.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["{{ prefect.variables.x }}", "$(HOME) $$ ${HOME}", "ß → 猫 \u0000", "'\"\\\n"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_a_spec_arrives_as_it_was_sent(value, lume_context):
    with pytest.MonkeyPatch.context() as monkeypatch:
        text = sent(FlowOfFlows.from_yaml(spec_of(value), [take]), monkeypatch)
        assert set(text) <= SAFE
        arrived = travelled(f"{PREFIX}any")
    assert (arrived.name, arrived.environment()[SPEC_VARIABLE]) == ("travelling", text)
    group = inspect.signature(arrived.fn).parameters["first____step___"].annotation
    assert fingerprint(group().model_dump(by_alias=True)["value"]) == fingerprint(value)


def test_it_runs_where_it_has_arrived(lume_context, monkeypatch):
    sent(FlowOfFlows.from_yaml(spec_of([1.5, "ß {{ x }}"]), [take]), monkeypatch)
    results = lume_context.scheduling_service().run_and_return(flow=travelled(f"{PREFIX}any"))
    assert results == {"first {{ step }}": [1.5, "ß {{ x }}"], "last": [1.5, "ß {{ x }}"]}


def test_where_no_spec_has_come(monkeypatch):
    monkeypatch.delenv(SPEC_VARIABLE, raising=False)
    with pytest.raises(
        NotAFlowError, match="@spec/abc: this is a flow-of-flows, whose spec comes with its deploy"
    ):
        travelled(f"{PREFIX}abc")


def test_no_module_has_it():
    with pytest.raises(NotAFlowError, match="Run it by its name, or read its spec"):
        importable_name_of(f"lume_services.flows.jobs.{PREFIX}abc")


def test_a_flow_that_no_other_process_could_import(lume_context):
    @flow
    def take(value: Any = None) -> Any:
        return value

    with pytest.raises(NotAFlowError, match="no other process can import it"):
        FlowOfFlows.from_yaml(spec_of(1), [take]).as_flow().environment()


def test_a_spec_that_is_too_large_for_a_variable(lume_context):
    values = np.random.default_rng(1).normal(size=20_000).tolist()
    with pytest.raises(
        BackendError, match="spec 'travelling': the spec is too large to travel: .*into files"
    ):
        FlowOfFlows.from_yaml(spec_of(values), [take]).as_flow().environment()


def test_the_steps_run_where_those_of_the_sender_would(tmp_path):
    settings = {
        "home": str(tmp_path),
        "backend": "docker",
        "run_config": {"image": "accelerator:1", "env": {"A": "b"}},
        "prefect": {"api_url": "http://127.0.0.1:9/api", "work_pool": "own"},
    }
    with use_context(build_context(settings)):
        variables = FlowOfFlows.from_yaml(spec_of(1), [take]).as_flow().environment()
    assert variables["LUME_BACKEND"] == "docker"
    assert variables["LUME_PREFECT__WORK_POOL"] == "own"
    assert json.loads(variables["LUME_RUN_CONFIG"]) == settings["run_config"]
