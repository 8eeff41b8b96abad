"""Steps run as subflows: with what values, in what order, at the same time."""

import asyncio
import os
import threading
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prefect import flow, runtime, task
from pydantic import BaseModel

from lume_services.config import current_context
from lume_services.errors import SpecError
from lume_services.flows import FlowOfFlows
from lume_services.flows.check import check_spec
from lume_services.flows.parent import InputForm, parent_flow
from lume_services.results import Result
from lume_services.services.scheduling.backends.local import LocalBackend
from lume_services.tasks import save_db_result

WAIT = 30  # seconds, for what comes at once


class Beam(BaseModel):
    energy: float
    charge: float = 1.0


@task
def double(x: int) -> int:
    return 2 * x


@flow
def numbers(count: int, start: int = 0) -> dict[str, Any]:
    """Return nested values, and call one task several times."""
    doubled = [double(start + number) for number in range(count)]
    return {"first": {"doubled": doubled}, "last": doubled[-1]}


@flow
def total(values: list[int] | int, factor: float = 1.0) -> float:
    return factor * (sum(values) if isinstance(values, list) else values)


def step(name, alias=None, parameters=None, **mapped):
    spec = {"name": name, "parameters": parameters or {}, "mapped_parameters": mapped}
    return {**spec, "alias": alias} if alias else spec


def from_step(name, **more):
    return {"parent_flow_name": name, **more}


def compose(*steps, flows, **top):
    return FlowOfFlows.from_yaml({"name": "composed", "composing_flows": list(steps), **top}, flows=flows)


def test_values_go_from_step_to_step(lume_context):
    composed = compose(
        step("numbers", parameters={"count": 3}),
        step("total", values=from_step("numbers", parent_task_name="double")),
        step("total", "of_part", values=from_step("numbers", attribute_index=["first", "doubled", 1])),
        step("total", "tenfold", {"factor": 10}, values=from_step("total")),
        flows=[numbers, total],
    )
    run = composed.run()
    assert run.results == {
        "numbers": {"first": {"doubled": [0, 2, 4]}, "last": 4},
        "total": 6.0,
        "of_part": 2.0,
        "tenfold": 60.0,
    }
    assert list(run.results) == list(composed.steps)
    assert run.state.is_completed()


def test_values_for_a_run_replace_those_of_the_spec_and_are_converted(lume_context):
    composed = compose(step("numbers", parameters={"count": 3}), flows=[numbers])
    assert composed.run({"numbers": {"count": "2", "start": 5.0}}).results["numbers"]["last"] == 12
    assert composed.run().results["numbers"]["last"] == 4


def test_a_task_that_ran_once_gives_its_value_and_not_a_list(lume_context):
    composed = compose(
        step("numbers", parameters={"count": 1, "start": 4}),
        step("total", values=from_step("numbers", parent_task_name="double")),
        flows=[numbers, total],
    )
    assert composed.run().results["total"] == 8.0


@flow
def store(x: int) -> None:
    save_db_result(Result(project_name="p", inputs={"x": x}, outputs={"y": {"z": [x, 2 * x]}}))


@flow
def take(value: Any) -> Any:
    return value


def test_stored_results(lume_context):
    def stored(**more):
        return from_step("store", parent_task_name="save_db_result", map_type="db", **more)

    composed = compose(
        step("store", parameters={"x": 3}),
        step("take", "field", value=stored(attribute_index=["outputs", "y", "z", 1])),
        step("take", "reference", value=stored()),
        flows=[store, take],
    )
    results = composed.run().results
    (record,) = Result.find("p")
    assert results["field"] == 6
    assert results["reference"] == record.unique_rep()


def test_every_kind_of_flow_can_be_a_step(lume_context):
    @flow
    async def asynchronous(x: int) -> int:
        await asyncio.sleep(0)
        return await later(x)

    @task
    async def later(x: int) -> int:
        return x + 1

    @flow
    def generator(x: int):
        yield x
        yield x + 1

    @flow
    def with_a_subflow(x: int) -> int:
        return total(x) + submitted(x)

    @flow
    def submitted(x: int) -> int:
        return double.submit(x).result()

    composed = compose(
        step("asynchronous", parameters={"x": 1}),
        step("generator", x=from_step("asynchronous", parent_task_name="later")),
        step("with-a-subflow", x=from_step("generator", attribute_index=[1])),
        step("submitted", x=from_step("with-a-subflow")),
        step("take", value=from_step("submitted", parent_task_name="double")),
        flows=[asynchronous, generator, with_a_subflow, submitted, take],
    )
    results = composed.run().results
    assert results == {
        "asynchronous": 2,
        "generator": [2, 3],
        "with-a-subflow": 9.0,
        "submitted": 18,
        "take": 18,
    }


# together and in order ----------------------------------------------------------------------------


def test_independent_steps_run_at_the_same_time(lume_context):
    together = threading.Barrier(10)

    @flow
    def meet() -> int:
        together.wait(WAIT)
        return threading.get_ident()

    composed = compose(*(step("meet", f"meet_{number}") for number in range(10)), flows=[meet])
    assert len(set(composed.run().results.values())) == 10


def test_a_step_starts_when_its_own_parents_are_done(lume_context):
    child_ran = threading.Event()

    @flow
    def fast() -> int:
        return 1

    @flow
    def slow() -> bool:
        return child_ran.wait(WAIT)

    @flow
    def child(x: int) -> None:
        child_ran.set()

    composed = compose(
        step("fast"), step("slow"), step("child", x=from_step("fast")), flows=[fast, slow, child]
    )
    assert composed.run().results["slow"] is True


def test_what_happens_is_told(lume_context):
    events = []
    composed = compose(
        step("numbers", parameters={"count": 1}),
        step("total", values=from_step("numbers", attribute_index=["last"])),
        flows=[numbers, total],
    )
    run = composed.run(on_step=events.append)
    assert [(event.step, event.state) for event in events] == [
        ("numbers", "queued"),
        ("total", "queued"),
        ("numbers", "running"),
        ("numbers", "completed"),
        ("total", "running"),
        ("total", "completed"),
    ]
    assert run.steps["total"] == events[-1]
    assert run.steps["total"].run_id != run.run_id
    assert run.steps["numbers"].duration > 0


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 8))
    return [
        draw(st.lists(st.integers(0, number - 1), max_size=3)) if number else [] for number in range(count)
    ]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs())
def test_random_graphs_run_in_an_order_that_respects_every_edge(lume_context, graph):
    ended = []

    @flow
    def node(number: int, a: int = 0, b: int = 0, c: int = 0) -> int:
        assert all(parent in ended for parent in graph[number])
        ended.append(number)
        return 1 + max(a, b, c)

    steps = []
    for number, parents in enumerate(graph):
        mapped = {name: from_step(f"s{parent}") for name, parent in zip("abc", parents, strict=False)}
        steps.append(step("node", f"s{number}", {"number": number}, **mapped))
    run = compose(*steps, flows=[node]).run()
    depth: list[int] = []
    for parents in graph:
        depth.append(1 + max((depth[parent] for parent in parents), default=0))
    assert list(run.results.values()) == depth


# the run in Prefect -------------------------------------------------------------------------------


@flow
def about_the_run(after: Any = None) -> dict[str, Any]:
    return {
        "parent": runtime.flow_run.parent_flow_run_id,
        "name": runtime.flow_run.name,
        "tags": set(runtime.flow_run.tags),
        "context": current_context(),
        "variable": os.environ.get("OF_ONE_STEP"),
    }


def test_steps_are_subflows_with_the_names_of_their_steps_and_the_labels_of_the_spec(lume_context):
    composed = compose(
        step("about-the-run", "here"),
        {
            **step("about-the-run", "there", after=from_step("here")),
            "run_config": {"env": {"OF_ONE_STEP": "yes"}, "labels": ["one"]},
        },
        flows=[about_the_run],
        labels=["shift"],
        project_name="injector",
    )
    run = composed.run()
    here, there = run.results.values()
    assert here["parent"] == there["parent"] == run.run_id
    assert (here["name"], there["name"]) == ("here", "there")
    assert here["tags"] == {"shift", "project:injector"}
    assert there["tags"] == {"shift", "project:injector", "one"}
    assert (here["variable"], there["variable"], os.environ.get("OF_ONE_STEP")) == (None, "yes", None)
    assert here["context"] is lume_context


def test_a_run_name_that_a_flow_gives_itself_is_kept(lume_context):
    @flow(flow_run_name="run-{x}")
    def named(x: int) -> str:
        return runtime.flow_run.name

    assert compose(step("named", parameters={"x": 4}), flows=[named]).run().results["named"] == "run-4"


def test_the_configured_backend_runs_the_whole(lume_context):
    # In the predecessor, a backend of one's own did nothing, and nobody noticed (SCH-9).
    class MyBackend(LocalBackend):
        def run(self, flow, parameters=None, run_config=None):
            seen.append((flow.name, run_config))
            return super().run(flow, parameters, run_config)

    seen = []
    composed = compose(step("numbers", parameters={"count": 1}), flows=[numbers], labels=["shift"])
    with lume_context.scheduling_backend.override(MyBackend()):
        run = composed.run()
    assert seen == [("composed", {"labels": {"shift"}})]
    assert run.results["numbers"]["last"] == 0


# parameters ---------------------------------------------------------------------------------------


@flow(name="beam line")
def beam_line(beam: Beam, when: datetime, model_name: str = "m") -> list:
    return [beam.energy, when.year, model_name]


ODD_NAMES = ["beam line", "beam_line", "class", "json", "return_state", "1st", "_first", "é", "+"]


def test_any_name_of_a_step_and_a_parameter_can_be_used(lume_context):
    @flow(validate_parameters=False)
    def odd(copy: int, json: int = 2, model_config: int = 3, **more: int) -> int:
        return copy + json + model_config + sum(more.values())

    composed = compose(*(step("odd", name, {"copy": 1}) for name in ODD_NAMES), flows=[odd])
    run = composed.run({"1st": {"json": 10}, "+": {"other": 100}})
    assert run.results == {**dict.fromkeys(ODD_NAMES, 6), "1st": 14, "+": 106}


def test_the_parameters_of_the_whole_are_one_typed_form_per_step():
    spec = {
        "name": "composed",
        "composing_flows": [
            step("numbers", parameters={"start": 3}),
            step("total", values=from_step("numbers", attribute_index=["last"])),
            step("beam line", "line", {"when": "2024-05-06"}),
        ],
    }
    form = InputForm(check_spec(spec, flows=[numbers, total, beam_line]))
    schema = parent_flow("composed", form, lambda values: {}).parameters
    assert list(schema.properties) == ["numbers", "total", "line"]
    assert schema.required == ["numbers", "line"]
    forms = {name: schema.definitions[name] for name in ("numbers", "total", "line")}
    assert forms["numbers"]["required"] == ["count"]
    assert forms["numbers"]["properties"]["start"] == {"title": "start", "type": "integer", "default": 3}
    assert list(forms["total"]["properties"]) == ["factor"]
    assert forms["line"]["properties"]["beam"] == {"$ref": "#/definitions/Beam", "title": "beam"}


def test_values_are_converted_to_the_types_of_the_flow(lume_context):
    values = {"beam line": {"beam": {"energy": "6e6"}, "when": "2024-05-06"}}
    results = compose(step("beam line"), flows=[beam_line]).run(values).results
    assert results["beam line"] == [6e6, 2024, "m"]


def test_a_default_of_a_flow_is_left_to_the_flow(lume_context):
    shared = [1]

    @flow(validate_parameters=False)
    def default(x: Any = shared) -> bool:
        return x is shared

    assert compose(step("default"), flows=[default]).run().results["default"] is True


def test_nothing_starts_where_a_value_is_wrong(lume_context):
    composed = compose(
        step("numbers"),
        {**step("total", values=from_step("numbers", attribute_index=["last"])), "run_config": {"envv": {}}},
        flows=[numbers, total],
    )
    events = []
    with pytest.raises(SpecError) as caught:
        composed.run({"numbers": {"strat": 1}, "total": {"factor": "much"}}, on_step=events.append)
    assert [str(problem) for problem in caught.value.problems] == [
        (
            "step 'numbers': the parameter 'count' of the flow 'numbers' has no value. Give it for a run, as "
            "--set numbers.count=VALUE, or write it under parameters, or map it from another step."
        ),
        (
            "step 'numbers', parameter 'strat': the flow 'numbers' has no such parameter. "
            "Did you mean 'start'? Choose one of: count, start."
        ),
        (
            "step 'total', parameter 'factor': 'much' does not fit float: Input should be a valid number, "
            "unable to parse string as a number."
        ),
        "step 'total': envv: no such field. Did you mean 'env'? Choose one of: env, labels, working_dir.",
    ]
    assert events == []
    with pytest.raises(SpecError, match="has no value"):
        composed.check()


def test_a_flow_that_returns_a_future_gives_its_value(lume_context):
    @flow
    def future() -> int:
        return double.submit(4)

    composed = compose(step("future"), step("total", values=from_step("future")), flows=[future, total])
    assert composed.run().results == {"future": 8, "total": 8.0}
