"""Runs of a whole that go on after a kill or a failure: what was sent or has ended is not done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import backend_flows
import pytest
from prefect.client.orchestration import get_client
from prefect.states import AwaitingRetry

from lume_services.config.environment import job_environment
from lume_services.errors import FlowFailedError
from lume_services.flows import FlowOfFlows

WAIT = 120
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


def test_a_whole_that_is_retried_at_the_server_goes_on(context, service, name):
    """As the button of the Prefect UI does it: the same flow run, in another process."""
    if name == "local":
        pytest.skip("there is no server")
    home = Path(context.settings().home)
    flows = [backend_flows.once, backend_flows.allowed]
    registered = FlowOfFlows.from_yaml(backend_flows.RETRIED, flows=flows).register()
    handle = service.run(flow=registered)
    with pytest.raises(FlowFailedError, match="not yet"):
        handle.result(WAIT)
    (home / "allowed").touch()
    with context.scheduling_backend().entered(), get_client(sync_client=True) as client:
        client.set_flow_run_state(UUID(handle.run_id), AwaitingRetry(), force=True)
    deadline = time.monotonic() + WAIT
    while not handle.state.is_completed():
        assert time.monotonic() < deadline, handle.state
        time.sleep(0.2)
    assert handle.result() == {"once": 1, "allowed": 2}
    assert (home / "once").read_text() == "ran\n"
