"""Run configs against the job templates of work pools, without a server."""

from __future__ import annotations

import copy

import pytest

from lume_services.errors import FlowParametersError, NotAFlowError, PluginError, RunConfigError
from lume_services.examples.quad_scan import flows
from lume_services.services.scheduling import DockerRunConfig, ProcessRunConfig
from lume_services.services.scheduling.backends.deployments import importable_name, importable_name_of
from lume_services.services.scheduling.parameters import jsonable_parameters
from lume_services.services.scheduling.rendering import render, worker_class

SCHEMA = {"properties": {"x": {}, "offset": {"default": 0}}, "required": ["x"]}


def rendered(kind, variables, template=None):
    template = template or worker_class(kind).get_default_base_job_template()
    return render(template, variables, work_pool_type=kind, pool="p")


def test_a_process():
    built = ProcessRunConfig(env={"A": "1"}, working_dir="/tmp", labels={"night"}).build()
    assert (built.work_pool_type, built.tags) == ("process", {"night"})
    job = rendered("process", built.job_variables)
    assert job.env["A"] == "1"
    assert str(job.working_dir) == "/tmp"


def test_what_is_not_set_is_left_to_the_pool():
    assert ProcessRunConfig().build().job_variables == {}
    assert DockerRunConfig().build().job_variables == {}


def test_a_container():
    config = DockerRunConfig(
        image="lume:1",
        image_pull_policy="Never",
        network="host",
        volumes=["/data:/data:ro"],
        ports=[8080, "9090/udp"],
        mem_limit="2g",
        auto_remove=True,
        host_config={"shm_size": "1g"},
    )
    job = rendered("docker", config.build().job_variables)
    assert (job.image, job.network_mode, job.networks) == ("lume:1", "host", [])
    assert job.volumes == ["/data:/data:ro"]
    assert job.container_create_kwargs == {"shm_size": "1g", "ports": {"8080": None, "9090/udp": None}}
    assert rendered("docker", DockerRunConfig(network="lume").build().job_variables).networks == ["lume"]


@pytest.mark.parametrize(
    ("kind", "variables", "message"),
    [
        ("process", {"imagee": "x"}, "imagee: .*no such variable"),
        ("docker", {"imgae": "x"}, "Did you mean 'image'"),
        ("docker", {"mem_limit": 12}, "mem_limit"),
        ("docker", {"volumes": ["nocolon"]}, "volume"),
        ("docker", {"env": {"X": "{{ prefect.variables.gain }}"}}, "Prefect server"),
    ],
)
def test_what_would_fail_in_the_worker_fails_here(kind, variables, message):
    with pytest.raises(RunConfigError, match=message):
        rendered(kind, variables)


def test_all_problems_are_told_at_once():
    with pytest.raises(RunConfigError) as caught:
        rendered("docker", {"imgae": "x", "mem_limit": 12, "auto_remove": "perhaps"})
    assert [problem.where for problem in caught.value.problems] == ["imgae", "mem_limit", "auto_remove"]


def test_the_template_of_the_pool_counts():
    """An administrator may take variables out, and give others."""
    template = copy.deepcopy(worker_class("process").get_default_base_job_template())
    del template["variables"]["properties"]["working_dir"]
    template["variables"]["properties"]["queue"] = {"type": "string", "enum": ["short", "long"]}
    with pytest.raises(RunConfigError, match="working_dir"):
        rendered("process", {"working_dir": "/tmp"}, template)
    with pytest.raises(RunConfigError, match="queue"):
        rendered("process", {"queue": "medium"}, template)
    rendered("process", {"queue": "long"}, template)


def test_an_unknown_type_of_pool():
    with pytest.raises(PluginError, match=r"lume-services\[slurm\]"):
        worker_class("slurm")


def test_parameters_of_a_run_elsewhere():
    assert jsonable_parameters(SCHEMA, {"x": 1}, "f") == {"x": 1}
    with pytest.raises(FlowParametersError) as caught:
        jsonable_parameters(SCHEMA, {"ofset": 2, "offset": object()}, "f")
    assert [problem.where for problem in caught.value.problems] == ["ofset", "x", "offset"]
    assert "Did you mean 'offset'" in str(caught.value)
    assert "reference" in str(caught.value)


def test_a_flow_is_known_by_the_name_of_its_module():
    assert importable_name(flows.track) == "lume_services.examples.quad_scan.flows.track"
    entrypoint = "lume_services.flows.jobs.lume_services/examples/quad_scan/flows/track"
    assert importable_name_of(entrypoint) == "lume_services.examples.quad_scan.flows.track"


def test_a_flow_that_no_other_process_could_import():
    with pytest.raises(NotAFlowError, match="installed package"):
        importable_name(flows.track.with_options(retries=3))
