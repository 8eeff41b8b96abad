"""What is special to the local backend, and the predecessor's defects in its own."""

import os
import threading
import time
from pathlib import Path

import pytest
from backend_flows import failing, numbers
from prefect import flow

from lume_services.errors import (
    FlowFailedError,
    FlowNotFoundError,
    FlowParametersError,
    LUMEServicesError,
    NotAFlowError,
    RunTimeoutError,
    TaskNotCompletedError,
    TaskNotInFlowError,
)
from lume_services.services.scheduling import Backend, LocalRunConfig, SchedulingService


@flow
def surroundings():
    return os.environ.get("LUME_TEST_VARIABLE"), str(Path.cwd())


@flow
def slow():
    for _ in range(200):
        time.sleep(0.05)


@pytest.fixture
def service(lume_context):
    return lume_context.scheduling_service()


def test_run_gives_a_handle(service):
    """SCH-10: the predecessor threw the run's id away."""
    handle = service.run(flow=numbers, parameters={"x": 1})
    assert handle.result() == 6
    assert handle.run_id
    assert handle.wait().is_completed()


def test_a_failure_raises_with_the_original_error(service):
    """SCH-1, SCH-2, SCH-3: it was swallowed, re-wrapped, or masked by an AttributeError."""
    with pytest.raises(FlowFailedError, match="ValueError: beam lost") as caught:
        service.run_and_return(flow=failing)
    assert isinstance(caught.value.__cause__, ValueError)
    assert "failing" in str(caught.value)
    assert "%s" not in str(caught.value)


def test_results_of_tasks_by_exact_name(service):
    """SCH-19: the predecessor's server matched names in part."""
    assert service.run_and_return(flow=numbers, parameters={"x": 1}, task_name="twice") == 4
    assert service.run_and_return(flow=numbers, parameters={"x": 1}, task_name="double") == [2, 6]
    with pytest.raises(TaskNotInFlowError, match="Did you mean 'double'"):
        service.run_and_return(flow=numbers, parameters={"x": 1}, task_name="doubl")


def test_a_task_that_failed_has_no_result(service):
    """SCH-7, SCH-14: these errors could not even be made."""
    handle = service.run(flow=failing)
    handle.wait()
    assert handle.task_result("double") == 2
    with pytest.raises(TaskNotCompletedError):
        handle.task_result("broken")


def test_env_and_working_dir_take_effect_and_end_with_the_run(service, tmp_path):
    """SCH-4, SCH-18."""
    before = Path.cwd()
    config = {"env": {"LUME_TEST_VARIABLE": "here"}, "working_dir": str(tmp_path)}
    assert service.run_and_return(flow=surroundings, run_config=config) == ("here", str(tmp_path))
    assert "LUME_TEST_VARIABLE" not in os.environ
    assert Path.cwd() == before


def test_working_dir_is_the_current_one_of_the_run(service, tmp_path, monkeypatch):
    """SCH-5: the default was frozen at import."""
    monkeypatch.chdir(tmp_path)
    assert service.run_and_return(flow=surroundings)[1] == str(tmp_path)


def test_run_configs_are_checked():
    """SCH-6: no validator hides a method of pydantic's; a config is a field like any other."""
    with pytest.raises(LUMEServicesError, match="working_dir"):
        LocalRunConfig.of({"workingdir": "/tmp"})
    assert LocalRunConfig.of(LocalRunConfig(env={"A": "b"})).env == {"A": "b"}


def test_parameters_are_checked_before_the_run(service):
    with pytest.raises(FlowParametersError, match="Did you mean 'offset'"):
        service.run(flow=numbers, parameters={"x": 1, "ofset": 2})
    with pytest.raises(FlowParametersError, match="x: required"):
        service.run(flow=numbers)


def test_registered_flows_run_by_name(service):
    """SCH-16, SCH-21: the predecessor's local backend could not load a registered flow."""
    service.create_project("project")
    identity = service.register_flow(flow=numbers, project_name="project")
    assert service.load_flow(identity) is numbers
    assert service.run_and_return(flow=identity, parameters={"x": 1}) == 6
    with pytest.raises(FlowNotFoundError, match="Did you mean 'numbers'"):
        service.load_flow("numberz", project_name="project")


def test_what_is_no_flow_is_refused(service):
    with pytest.raises(NotAFlowError):
        service.run(flow=lambda: 1)


def test_timeout(service):
    handle = service.run(flow=slow)
    with pytest.raises(RunTimeoutError):
        handle.wait(timeout=0.3)
    handle.cancel()
    assert handle.wait(timeout=20).is_cancelled()
    with pytest.raises(RunTimeoutError):
        service.run_and_return(flow=slow, timeout=0.3)


def test_runs_at_once_keep_their_own_results(service):
    handles = [service.run(flow=numbers, parameters={"x": x}) for x in range(8)]
    assert [handle.result() for handle in handles] == [2 * (x + 2) for x in range(8)]


def test_two_contexts_after_each_other(lume_context, tmp_path):
    """Prefect keeps clients for the process; a second in-process API must not meet those of the first."""
    from lume_services.config import configure
    from lume_services.testing import isolated_settings

    labels = {"labels": ["project:x"]}
    for number in range(2):
        context = configure(isolated_settings(tmp_path / str(number)))
        service = context.scheduling_service()
        assert service.run_and_return(flow=numbers, parameters={"x": 1}, run_config=labels) == 6


def test_a_custom_backend_is_used():
    """SCH-9: the predecessor silently did nothing with one."""

    class Answer(Backend):
        run_config_type = LocalRunConfig

        def create_project(self, project_name):
            pass

        def register_flow(self, flow, project_name="default", labels=(), **about):
            return "answer"

        def list_flows(self):
            return ["answer"]

        def delete_flow(self, name, project_name=None):
            pass

        def load_flow(self, name, project_name=None):
            return numbers

        def run(self, flow, parameters=None, run_config=None):
            raise AssertionError

        def run_and_return(self, *arguments, **options):
            return 42

    assert SchedulingService(Answer).run_and_return(flow=numbers) == 42


def test_no_thread_is_left_behind(lume_context):
    from lume_services.config import close_context

    lume_context.scheduling_service().run_and_return(flow=numbers, parameters={"x": 1})
    close_context(lume_context)
    assert "lume-prefect-stand-in" not in {thread.name for thread in threading.enumerate()}
