"""A step fails, or the run is stopped."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest
from prefect import flow, task
from prefect.variables import Variable

from lume_services.errors import FlowCancelledError, StepFailedError, UnsupportedRouteError
from lume_services.flows import FlowOfFlows, Plan
from lume_services.flows.check import check_spec
from lume_services.flows.execute import Execution
from lume_services.flows.parent import InputForm, parent_flow
from lume_services.flows.runs.request import RunRequest

WAIT = 30  # seconds, for what comes at once


@flow
def take(value: Any) -> Any:
    return value


@task
def maybe(x: int) -> dict:
    return {"outputs": x}


@flow
def give(call_the_task: bool = True) -> dict[str, Any]:
    if call_the_task:
        maybe(1)
    return {"values": [1, 2]}


def from_step(name, **more):
    return {"parent_flow_name": name, **more}


def step(name, alias=None, **mapped):
    spec = {"name": name, "mapped_parameters": mapped}
    return {**spec, "alias": alias} if alias else spec


def compose(*steps, flows):
    return FlowOfFlows.from_yaml({"name": "composed", "composing_flows": list(steps)}, flows=flows)


def no_beam(x):
    raise ValueError(f"no beam at {x}")


@flow
def fail(x: int = 3) -> None:
    no_beam(x)


def test_a_step_that_fails_is_named_with_the_place_in_its_code(lume_context):
    with pytest.raises(StepFailedError) as caught:
        compose(step("fail"), flows=[fail]).run()
    error = caught.value
    line = no_beam.__code__.co_firstlineno + 1
    assert str(error) == (
        f"step 'fail': the flow 'fail' failed at {__file__}:{line} in no_beam: ValueError: no beam at 3"
    )
    assert isinstance(error.__cause__, ValueError)
    assert (error.step, error.flow) == ("fail", "fail")
    assert len(error.run_id) == 36
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.step) == (str(error), "fail")


def test_the_place_in_the_spec_is_told_too(lume_context, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text("name: a\ncomposing_flows:\n  - name: fail\n")
    with pytest.raises(StepFailedError) as caught:
        FlowOfFlows.from_yaml(path, flows=[fail]).run()
    assert caught.value.where == f"{path}:3, step 'fail'"


def test_after_a_failure_nothing_starts_and_what_runs_is_left_to_finish(lume_context):
    failed = threading.Event()
    finished = []

    @flow
    def slow() -> int:
        assert failed.wait(WAIT)
        finished.append("slow")
        return 1

    events = []

    def observe(event):
        events.append((event.step, event.state))
        if event.state == "failed":
            assert "no beam at 3" in event.error
            failed.set()

    composed = compose(
        step("slow"), step("fail"), step("take", value=from_step("slow")), flows=[slow, fail, take]
    )
    with pytest.raises(StepFailedError, match="no beam"):
        composed.run(on_step=observe)
    assert finished == ["slow"]
    assert events[-3:] == [("fail", "failed"), ("slow", "completed"), ("take", "skipped")]


def test_of_several_failures_the_first_is_raised(lume_context):
    first = threading.Event()

    @flow
    def second() -> None:
        assert first.wait(WAIT)
        raise KeyError("second")

    def observe(event):
        if event.state == "failed":
            first.set()

    with pytest.raises(StepFailedError, match="no beam"):
        compose(step("second"), step("fail"), flows=[second, fail]).run(on_step=observe)


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        (
            from_step("give", attribute_index=["valeus"]),
            "the dict has no 'valeus'. Did you mean 'values'? Choose one of: values.",
        ),
        (
            from_step("give", attribute_index=["values", 2]),
            "the list at ['values'] has no 2. It has positions 0 to 1.",
        ),
        (
            from_step("give", parent_task_name="maybe", attribute_index=["outputs", "y"]),
            "the int at ['outputs'] has no 'y'. It has nothing inside that could be chosen.",
        ),
        (
            from_step("give", parent_task_name="maybe", map_type="db", attribute_index=["outputs"]),
            (
                "this is no reference to a result, it lacks project_name, query, result_type_string: "
                "{'outputs': 1} Pass what Result.unique_rep() or the task save_db_result returned."
            ),
        ),
    ],
)
def test_a_value_that_is_not_there_fails_the_step_that_needs_it(lume_context, mapping, expected):
    with pytest.raises(StepFailedError) as caught:
        compose(step("give"), step("take", value=mapping), flows=[give, take]).run()
    prefix = "step 'take', parameter 'value': the value for the parameter cannot be had: "
    assert str(caught.value) == prefix + expected
    assert caught.value.step == "take"


def test_a_task_that_did_not_run_has_no_result(lume_context):
    composed = compose(
        step("give"), step("take", value=from_step("give", parent_task_name="maybe")), flows=[give, take]
    )
    with pytest.raises(StepFailedError, match="no task named 'maybe' ran"):
        composed.run({"give": {"call_the_task": False}})


def test_a_value_that_does_not_fit_the_parameter_fails_the_step(lume_context):
    @flow
    def strict(value: int) -> int:
        return value

    composed = compose(
        step("give"),
        step("strict", value=from_step("give", attribute_index=["values"])),
        flows=[give, strict],
    )
    with pytest.raises(StepFailedError, match="Input should be a valid integer"):
        composed.run()


def test_a_flow_that_exits_fails_its_step(lume_context):
    @flow
    def leave() -> None:
        sys.exit(3)

    with pytest.raises(StepFailedError, match="SystemExit: 3"):
        compose(step("leave"), flows=[leave]).run()


def test_what_needs_a_server_says_so(lume_context):
    @flow
    def ask() -> None:
        Variable.set("gain", 3)

    with pytest.raises(UnsupportedRouteError, match="needs a Prefect server"):
        compose(step("ask"), flows=[ask]).run()


def test_a_run_that_is_cancelled_stops_its_steps(lume_context):
    started, stopped = threading.Event(), threading.Event()

    @flow
    def loop() -> None:
        started.set()
        try:
            while True:
                time.sleep(0.01)
        finally:
            stopped.set()

    checked = check_spec({"name": "a", "composing_flows": [step("loop")]}, [loop])
    backend = lume_context.scheduling_backend()
    plan = Plan.from_spec(checked.spec)
    execution = Execution(checked, plan, backend, lambda event: None, RunRequest(), ended=set())
    form = InputForm(checked)
    handle = lume_context.scheduling_service().run(parent_flow("a", form, execution.run), form.parameters({}))
    assert started.wait(WAIT)
    handle.cancel()
    with pytest.raises(FlowCancelledError):
        handle.result(WAIT)
    assert stopped.wait(WAIT)


def test_ctrl_c_ends_the_run(tmp_path):
    (tmp_path / "endless.py").write_text(
        textwrap.dedent("""
            import signal
            import time
            from prefect import flow
            from lume_services.flows import FlowOfFlows

            @flow
            def loop() -> None:
                print("started", flush=True)
                try:
                    while True:
                        time.sleep(0.01)
                finally:
                    print("stopped", flush=True)

            if __name__ == "__main__":
                # A shell may start a program in the background with Ctrl-C ignored.
                signal.signal(signal.SIGINT, signal.default_int_handler)
                spec = {"name": "a", "composing_flows": [{"name": "loop"}]}
                FlowOfFlows.from_yaml(spec, flows=[loop]).run()
            """)
    )
    environment = {**os.environ, "LUME_HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "endless.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
    ) as process:
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=WAIT)
    assert output == "stopped\n"
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode != 0
