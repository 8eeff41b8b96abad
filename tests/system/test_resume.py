"""Runs that go on where earlier ones ended: what runs again, and why."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import resume_flows
from prefect import flow, task

from lume_services.errors import RunNotFoundError, SpecError, StepFailedError
from lume_services.files import TextFile, load_reference
from lume_services.flows import FlowOfFlows
from lume_services.results import Result
from lume_services.tasks import save_db_result, save_file

HERE = Path(__file__).parent.parent


def ran(run: Any) -> set[str]:
    return {step for step, event in run.steps.items() if event.state == "completed"}


def reused(run: Any) -> set[str]:
    return {step for step, event in run.steps.items() if event.state == "reused"}


def why(run: Any, step: str) -> str:
    return str(run.steps[step].why)


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The steps that ran, in their order, in this process and in others."""
    file = tmp_path / "counter"
    monkeypatch.setenv("RESUME_COUNTER", str(file))
    return lambda: file.read_text("utf-8").split()


def in_another_process(*arguments: str, home: Path, **further: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "LUME_HOME": str(home), "PYTHONPATH": str(HERE), **further}
    return subprocess.Popen([sys.executable, *arguments], env=environment, stderr=subprocess.DEVNULL)


# killed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", resume_flows.STEPS)
def test_a_killed_run_goes_on_with_exactly_the_missing_steps(step, lume_context, tmp_path, counter):
    process = in_another_process(
        str(HERE / "resume_flows.py"), step, home=tmp_path / "lume", PREFECT_LOGGING_LEVEL="CRITICAL"
    )
    assert process.wait(60) == -9
    done = resume_flows.STEPS[: resume_flows.STEPS.index(step) + 1]
    assert counter() == done

    run = resume_flows.diamond().run(resume="latest")
    assert reused(run) == set(done)
    assert ran(run) == set(resume_flows.STEPS) - set(done)
    assert sorted(counter()) == sorted(resume_flows.STEPS)
    assert run.results["sink"] == sum(1.0 + number for number in range(resume_flows.WIDTH))


def test_two_resumes_at_once_do_the_work_once(lume_context, tmp_path, counter, monkeypatch):
    (tmp_path / "slow.py").write_text(
        textwrap.dedent("""
            import os, time
            from prefect import flow
            from resume_flows import count
            from lume_services.flows import FlowOfFlows

            @flow
            def slow() -> str:
                if os.environ.get("FAILS"):
                    raise ValueError("not yet")
                count("slow")
                time.sleep(1)
                return "done"

            if __name__ == "__main__":
                spec = {"name": "once", "composing_flows": [{"name": "slow"}]}
                composed = FlowOfFlows.from_yaml(spec, [slow])
                run = composed.run(resume=None if os.environ.get("FAILS") else "latest")
                print(run.results["slow"], run.steps["slow"].state)
        """)
    )
    script, home = str(tmp_path / "slow.py"), tmp_path / "lume"
    assert in_another_process(script, home=home, FAILS="yes").wait(60) == 1
    environment = {**os.environ, "LUME_HOME": str(home), "PYTHONPATH": str(HERE)}
    both = [
        subprocess.Popen(
            [sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True, stderr=-3
        )
        for _ in range(2)
    ]
    told = sorted(process.communicate(timeout=90)[0].strip() for process in both)
    assert told == ["done completed", "done reused"]
    assert counter() == ["slow"]


# what has changed -----------------------------------------------------------------------------------

FLOWS = """
    from prefect import flow, task
    from resume_flows import count

    OFFSET = 10

    def shifted(x: float) -> float:
        return x + OFFSET

    @task
    def doubled(x: float) -> float:
        return 2 * x

    @flow
    def track(energy: float = 1.0, seed: int = 0) -> float:
        count("track")
        return doubled(energy)

    @flow
    def fit(sizes: float, order: int = 2) -> float:
        count("fit")
        return shifted(sizes) * order

    @flow
    def report(optics: float) -> str:
        count("report")
        return f"{optics:.1f}"

    @flow
    def beside() -> str:
        count("beside")
        return "beside"
"""
SPEC = """
    name: changing
    composing_flows:
      - name: track
        entrypoint: changing_flows:track
        parameters: {seed: 1}
      - name: fit
        entrypoint: changing_flows:fit
        mapped_parameters:
          sizes: {parent_flow_name: track}
      - name: report
        entrypoint: changing_flows:report
        mapped_parameters:
          optics: {parent_flow_name: fit}
      - name: beside
        entrypoint: changing_flows:beside
"""


class Changing:
    """A spec and its flows in files, which can be edited between runs."""

    def __init__(self, folder: Path) -> None:
        self.flows, self.spec = folder / "changing_flows.py", folder / "spec.yaml"
        self.flows.write_text(textwrap.dedent(FLOWS))
        self.spec.write_text(textwrap.dedent(SPEC))

    def edit(self, file: Path, old: str, new: str) -> None:
        text = file.read_text()
        assert text.count(old) == 1
        file.write_text(text.replace(old, new))

    def run(self, *args: Any, **kwargs: Any) -> Any:
        sys.modules.pop("changing_flows", None)
        return FlowOfFlows.from_yaml(self.spec).run(*args, **kwargs)


@pytest.fixture
def changing(tmp_path, lume_context, counter, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = tmp_path / "spec"
    folder.mkdir()
    yield Changing(folder)
    sys.modules.pop("changing_flows", None)


def test_of_a_run_that_is_whole_nothing_runs_again(changing, counter):
    first = changing.run()
    again = changing.run(resume=first.run_id)
    assert reused(again) == {"track", "fit", "report", "beside"}
    assert again.results == first.results
    assert why(again, "fit") == f"its inputs and its code are those of run {first.run_id}"
    assert sorted(counter()) == ["beside", "fit", "report", "track"]


def test_a_changed_constant_runs_its_step_and_what_depends_on_it(changing):
    changing.run({"track": {"energy": 1.0}})
    run = changing.run({"track": {"energy": 3.0}}, resume="latest")
    assert ran(run) == {"track", "fit", "report"}
    assert why(run, "track") == "its parameter 'energy' has changed"
    assert why(run, "fit") == "its parameter 'sizes' has changed"
    assert run.results["report"] == "32.0"


def test_a_changed_constant_that_changes_no_value_runs_its_step_alone(changing):
    changing.run()
    changing.edit(changing.spec, "seed: 1", "seed: 2")
    run = changing.run(resume="latest")
    assert ran(run) == {"track"}
    assert why(run, "track") == "its parameter 'seed' has changed"


@pytest.mark.parametrize(
    ("old", "new", "steps"),
    [
        ("* order", "* order + 1", {"fit", "report"}),
        ("return x + OFFSET", "return x - OFFSET", {"fit", "report"}),
        ("OFFSET = 10", "OFFSET = 20", {"fit", "report"}),
        ("return 2 * x", "return 2.0 * x + 0", {"track"}),
        ('return "beside"', 'return "beside it"', {"beside"}),
        ("@flow\ndef report", '@flow(version="2")\ndef report', {"report"}),
    ],
    ids=["flow", "function", "constant", "task", "other", "version"],
)
def test_changed_code_runs_the_flows_that_come_to_it(changing, old, new, steps):
    changing.run()
    changing.edit(changing.flows, old, new)
    run = changing.run(resume="latest")
    assert ran(run) == steps
    assert why(run, min(steps)) == "the code of its flow has changed"


def test_comments_and_layout_are_no_code(changing):
    changing.run()
    changing.edit(changing.flows, "    return 2 * x", "    # twice\n    return (2   *   x)")
    assert ran(changing.run(resume="latest")) == set()


def test_the_parameters_of_the_resumed_run_stay_unless_others_are_given(changing):
    changing.run({"track": {"energy": 4.0}, "fit": {"order": 3}})
    run = changing.run({"fit": {"order": 1}}, resume="latest")
    assert ran(run) == {"fit", "report"}
    assert run.results["fit"] == 18.0


def test_steps_can_be_run_again(changing):
    changing.run()
    run = changing.run(from_step="fit")
    assert ran(run) == {"fit", "report"}
    assert why(run, "fit") == "it was asked for"
    assert why(run, "report") == "it depends on 'fit', which runs again"
    assert ran(changing.run(resume="latest", no_cache=True)) == {"track", "fit", "report", "beside"}


def test_a_step_can_run_alone(changing, counter):
    changing.run()
    run = changing.run({"fit": {"order": 5}}, only="fit")
    assert ran(run) == {"fit"}
    assert reused(run) == {"track"}
    assert dict(run.results) == {"track": 2.0, "fit": 60.0}
    assert run.steps["report"].state == "skipped"


def test_a_step_cannot_run_alone_where_a_parent_has_to_run(changing, counter):
    changing.run()
    changing.edit(changing.flows, "return 2 * x", "return 3 * x")
    with pytest.raises(StepFailedError, match="alone cannot run.*'track'.*the code of its flow has changed"):
        changing.run(only="fit")
    assert sorted(counter()) == ["beside", "fit", "report", "track"]


def test_a_failed_step_runs_again(changing):
    changing.edit(changing.flows, "return shifted(sizes) * order", "raise ValueError('no fit')")
    with pytest.raises(StepFailedError, match="no fit") as failed:
        changing.run()
    changing.edit(changing.flows, "raise ValueError('no fit')", "return shifted(sizes) * order")
    run = changing.run(resume=failed.value.whole_run_id)
    assert reused(run) >= {"track"}
    assert why(run, "fit") == "it failed before"
    assert why(run, "report") == "it has not run before"


def test_a_retried_run_goes_on_by_itself(lume_context):
    attempts: list[str] = []

    @flow
    def sure() -> int:
        attempts.append("sure")
        return 1

    @flow
    def shaky(x: int) -> int:
        attempts.append("shaky")
        if len(attempts) < 4:
            raise ValueError("not yet")
        return x + 1

    spec = {
        "name": "retried",
        "composing_flows": [
            {"name": "sure"},
            {"name": "shaky", "mapped_parameters": {"x": {"parent_flow_name": "sure"}}},
        ],
    }
    run = FlowOfFlows.from_yaml(spec, [sure, shaky]).run(retries=3)
    assert attempts == ["sure", "shaky", "shaky", "shaky"]
    assert run.results == {"sure": 1, "shaky": 2}


def test_of_two_hundred_steps_of_a_retried_run_each_has_its_own_value(lume_context):
    """Prefect takes the subflows of a retry for the earlier ones by the order in which they start."""
    failing = set(range(0, 200, 7))
    lock = threading.Lock()

    @flow
    def square(x: int) -> int:
        time.sleep(0.001 * (x * 7919 % 13))
        with lock:
            if x in failing:
                failing.remove(x)
                raise ValueError("not yet")
        return x * x

    steps = [{"name": "square", "alias": f"square-{x}", "parameters": {"x": x}} for x in range(200)]
    composed = FlowOfFlows.from_yaml({"name": "many", "composing_flows": steps}, [square])
    run = composed.run(retries=40)
    assert run.results == {f"square-{x}": x * x for x in range(200)}


# what the values are --------------------------------------------------------------------------------


def saving(tmp_path: Path) -> FlowOfFlows:
    @flow
    def write(text: str = "hello") -> dict[str, Any]:
        return save_file(text, filename=str(tmp_path / "a.txt"), file_type=TextFile)

    @flow
    def store(reference: dict[str, Any]) -> dict[str, Any]:
        text = load_reference(reference).read()
        return save_db_result(Result(project_name="saved", outputs={"text": text}))

    spec = {
        "name": "saving",
        "composing_flows": [
            {"name": "write"},
            {"name": "store", "mapped_parameters": {"reference": {"parent_flow_name": "write"}}},
        ],
    }
    return FlowOfFlows.from_yaml(spec, [write, store])


def test_a_step_runs_again_whose_file_is_gone_or_changed(lume_context, tmp_path):
    composed = saving(tmp_path)
    composed.run()
    assert reused(composed.run(resume="latest")) == {"write", "store"}
    (tmp_path / "a.txt").unlink()
    run = composed.run(resume="latest")
    assert ran(run) == {"write"}
    assert why(run, "write").startswith("what it gave is not there any more: ")
    (tmp_path / "a.txt").write_text("edited")
    run = composed.run(resume="latest")
    assert ran(run) == {"write"}
    assert "is not the one that was written" in why(run, "write")


def test_a_step_runs_again_whose_result_is_gone(lume_context, tmp_path):
    composed = saving(tmp_path)
    composed.run()
    lume_context.results_db_service().delete(collection="saved", query={})
    run = composed.run(resume="latest")
    assert ran(run) == {"store"}
    assert why(run, "store").startswith("what it gave is not there any more: ")


def test_a_value_comes_back_as_it_was(lume_context):
    image = np.arange(120_000.0).reshape(400, 300)

    @flow
    def shoot() -> dict[str, Any]:
        return {"image": image, "pixel": (3, 4), "name": b"OTR"}

    @flow
    def shape(shot: Any) -> tuple[str, tuple[int, int]]:
        return type(shot["image"]).__name__, shot["pixel"]

    mapped = {"shot": {"parent_flow_name": "shoot"}}
    spec = {
        "name": "a",
        "composing_flows": [{"name": "shoot"}, {"name": "shape", "mapped_parameters": mapped}],
    }
    composed = FlowOfFlows.from_yaml(spec, [shoot, shape])
    first = composed.run()
    again = composed.run(resume=first.run_id)
    assert reused(again) == {"shoot", "shape"}
    np.testing.assert_array_equal(again.results["shoot"]["image"], image)
    assert type(again.results["shoot"]["image"]) is np.ndarray
    assert again.results["shape"] == ("ndarray", (3, 4))
    # What a reused step gives is the same to the steps after it.
    assert composed.run(only="shape").results["shape"] == ("ndarray", (3, 4))


def test_a_value_that_cannot_be_stored_is_no_obstacle(lume_context):
    @flow
    def opaque() -> Any:
        return threading.Lock()

    @flow
    def use(lock: Any) -> bool:
        return bool(lock.acquire(blocking=False))

    mapped = {"lock": {"parent_flow_name": "opaque"}}
    spec = {
        "name": "a",
        "composing_flows": [{"name": "opaque"}, {"name": "use", "mapped_parameters": mapped}],
    }
    composed = FlowOfFlows.from_yaml(spec, [opaque, use])
    assert composed.run().results["use"] is True
    run = composed.run(resume="latest")
    assert ran(run) == {"opaque", "use"}
    assert "its value could not be stored" in why(run, "opaque")
    assert "its parameter 'lock' cannot be compared" in why(run, "use")


def test_the_value_of_a_task_is_taken_too(lume_context):
    calls: list[int] = []

    @task
    def inner(x: int) -> int:
        calls.append(x)
        return x + 1

    @flow
    def outer() -> int:
        return inner(1) + inner(2)

    @flow
    def last(values: list[int], total: int) -> int:
        return sum(values) - total

    mapped = {
        "values": {"parent_flow_name": "outer", "parent_task_name": "inner"},
        "total": {"parent_flow_name": "outer"},
    }
    spec = {
        "name": "a",
        "composing_flows": [{"name": "outer"}, {"name": "last", "mapped_parameters": mapped}],
    }
    composed = FlowOfFlows.from_yaml(spec, [outer, last])
    composed.run()
    run = composed.run(only="last")
    assert reused(run) == {"outer"}
    assert run.results["last"] == 0
    assert calls == [1, 2]


# which run ------------------------------------------------------------------------------------------


def test_errors_name_the_runs_and_steps_that_there_are(changing):
    with pytest.raises(RunNotFoundError, match="no run of the spec 'changing'.*None has been started"):
        changing.run(resume="latest")
    first = changing.run()
    with pytest.raises(RunNotFoundError, match=f"no run 'nothing'.*{first.run_id}"):
        changing.run(resume="nothing")
    with pytest.raises(SpecError, match=r"--from: there is no step 'fitt'. Did you mean 'fit'\?"):
        changing.run(from_step="fitt")
    changing.edit(changing.spec, "name: changing\n", "name: changed\n")
    with pytest.raises(RunNotFoundError, match="one of the spec 'changing', not 'changed'"):
        changing.run(resume=first.run_id)


def test_a_run_is_found_by_the_beginning_of_its_id(changing):
    first = changing.run()
    assert ran(changing.run(resume=first.run_id[:8])) == set()


def test_the_records_of_runs_are_no_results(changing, lume_context):
    changing.run()
    assert lume_context.results_db_service().collections() == []
