"""Runs that were killed, or retried, or resumed by two at once: nothing is done twice or mixed up."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import resume_flows
from prefect import flow
from resume_flows import ran, reused

from lume_services.flows import FlowOfFlows

HERE = Path(__file__).parent.parent


def in_another_process(*arguments: str, home: Path, **further: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "LUME_HOME": str(home), "PYTHONPATH": str(HERE), **further}
    return subprocess.Popen([sys.executable, *arguments], env=environment, stderr=subprocess.DEVNULL)


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
