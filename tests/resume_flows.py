"""The flows of a diamond of twelve steps, which count how often they run, and a program that dies in it."""

import os
import signal
import sys
import time
from pathlib import Path

from prefect import flow

from lume_services.flows import FlowOfFlows, FlowOfFlowsRun, StepEvent

WIDTH = 10
STEPS = ["source", *(f"arm-{number}" for number in range(WIDTH)), "sink"]


def count(step: str) -> None:
    with Path(os.environ["RESUME_COUNTER"]).open("a", encoding="utf-8") as file:
        file.write(f"{step}\n")


@flow
def source(start: float = 1.0) -> float:
    count("source")
    return start


@flow
def arm(value: float, number: int) -> float:
    # One after the other, so that a kill after one of them finds no other one at work.
    time.sleep(0.15 * number)
    count(f"arm-{number}")
    return value + number


@flow
def sink(**arms: float) -> float:
    count("sink")
    return sum(arms.values())


def spec() -> dict:
    arms = [
        {
            "name": "arm",
            "alias": f"arm-{number}",
            "parameters": {"number": number},
            "mapped_parameters": {"value": {"parent_flow_name": "source"}},
        }
        for number in range(WIDTH)
    ]
    mapped = {f"a{number}": {"parent_flow_name": f"arm-{number}"} for number in range(WIDTH)}
    return {
        "name": "diamond",
        "composing_flows": [{"name": "source"}, *arms, {"name": "sink", "mapped_parameters": mapped}],
    }


def diamond() -> FlowOfFlows:
    return FlowOfFlows.from_yaml(spec(), flows=[source, arm, sink])


def ran(run: FlowOfFlowsRun) -> set[str]:
    return {step for step, event in run.steps.items() if event.state == "completed"}


def reused(run: FlowOfFlowsRun) -> set[str]:
    return {step for step, event in run.steps.items() if event.state == "reused"}


def why(run: FlowOfFlowsRun, step: str) -> str:
    return str(run.steps[step].why)


def die_after(step: str) -> None:
    """Run the diamond, and end this process as `kill -9` does when a step is done."""

    def die(event: StepEvent) -> None:
        if event.step == step and event.state == "completed":
            os.kill(os.getpid(), signal.SIGKILL)

    diamond().run(on_step=die)


if __name__ == "__main__":
    die_after(sys.argv[1])
