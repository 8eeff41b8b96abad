"""A parent that is killed while its step runs elsewhere: the run of the step is found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import backend_flows
import pytest

from lume_services.config.environment import job_environment
from lume_services.flows import FlowOfFlows

TESTS = Path(__file__).parents[2]
PARENT = """
import backend_flows
from lume_services.flows import FlowOfFlows
FlowOfFlows.from_yaml(backend_flows.COUNTED, flows=[backend_flows.counted, backend_flows.double_of]).run()
"""


@pytest.fixture
def counter(context) -> Path:
    return Path(context.settings().home) / "counted"


def test_a_step_that_was_sent_is_not_sent_again(context, name, counter):
    if name == "local":
        pytest.skip("a step ends with this process")
    settings = context.settings()
    environment = {
        **os.environ,
        **job_environment(settings, {}),
        "LUME_PREFECT__API_URL": settings.prefect.api_url,
        "PYTHONPATH": str(TESTS),
    }
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as parent:
        deadline = time.monotonic() + 120
        while not counter.exists():
            assert parent.poll() is None, parent.communicate()
            assert time.monotonic() < deadline, "the step did not start"
            time.sleep(0.05)
        parent.send_signal(signal.SIGKILL)

    flows = [backend_flows.counted, backend_flows.double_of]
    run = FlowOfFlows.from_yaml(backend_flows.COUNTED, flows=flows).run(resume="latest")
    assert run.results == {"counted": 21, "double-of": 42}
    assert counter.read_text() == "ran\n"
