"""Run configs against the job templates of work pools, without a server."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import kubernetes_validate
import pytest
import yaml

from lume_services.errors import FlowParametersError, NotAFlowError, PluginError, RunConfigError
from lume_services.examples.quad_scan import flows
from lume_services.services.scheduling import DockerRunConfig, KubernetesRunConfig, ProcessRunConfig
from lume_services.services.scheduling.backends.deployments import importable_name, importable_name_of
from lume_services.services.scheduling.parameters import jsonable_parameters
from lume_services.services.scheduling.rendering import render, worker_class
from lume_services.services.scheduling.run_configs.kubernetes_template import job_template
from lume_services.values import fingerprint

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


JOB = """
apiVersion: batch/v1
kind: Job
metadata: {namespace: sims, annotations: {owner: injector}}
spec:
  activeDeadlineSeconds: 3600
  template:
    spec:
      restartPolicy: Never
      nodeSelector: {pool: large}
      volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
      containers:
        - name: simulation
          image: lume:1
          env: [{name: OMP_NUM_THREADS, value: "4"}]
          volumeMounts: [{name: data, mountPath: /data}]
          resources: {requests: {cpu: 500m}, limits: {cpu: "2", memory: 4Gi, nvidia.com/gpu: 1}}
"""


def manifest(config):
    job = rendered("kubernetes", config.build().job_variables, job_template())
    kubernetes_validate.validate(job.job_manifest, "1.33", strict=False)
    return job.job_manifest


def test_a_job_on_a_cluster():
    config = KubernetesRunConfig(
        image="lume:1",
        image_pull_policy="Always",
        image_pull_secrets=["registry"],
        namespace="sims",
        cpu_request="500m",
        cpu_limit="2",
        memory_request="1Gi",
        memory_limit="4Gi",
        gpu_limit=1,
        service_account_name="runner",
        secrets=["machine"],
        env={"A": "1"},
    )
    job = manifest(config)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (job["metadata"]["namespace"], pod["serviceAccountName"]) == ("sims", "runner")
    assert (container["image"], container["imagePullPolicy"]) == ("lume:1", "Always")
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": 1},
    }
    assert {"name": "A", "value": "1"} in container["env"]
    assert [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source] == [
        "lume-services",
        "machine",
    ]


def test_a_job_has_its_settings_by_reference():
    container = manifest(KubernetesRunConfig(image="lume:1"))["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"] == [
        {"configMapRef": {"name": "lume-services", "optional": True}},
        {"secretRef": {"name": "lume-services", "optional": True}},
    ]
    assert "resources" not in container or not any(container["resources"].values())


def test_a_job_of_a_users_own(tmp_path):
    (tmp_path / "job.yaml").write_text(JOB)
    from_file = KubernetesRunConfig(job_template_path=tmp_path / "job.yaml", cpu_limit="4", env={"A": "1"})
    from_dict = KubernetesRunConfig(job_template=yaml.safe_load(JOB), cpu_limit="4", env={"A": "1"})
    assert from_file.build() == from_dict.build()
    job = manifest(from_file)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert job["metadata"]["annotations"]["owner"] == "injector"
    assert job["spec"]["activeDeadlineSeconds"] == 3600
    assert pod["nodeSelector"] == {"pool": "large"}
    assert container["resources"]["limits"]["cpu"] == "4"
    assert {"name": "OMP_NUM_THREADS", "value": "4"} in container["env"]
    assert {"name": "A", "value": "1"} in container["env"]


def test_a_job_with_fields_that_have_no_place():
    job = yaml.safe_load(JOB)
    job["spec"]["completions"] = 3
    job["spec"]["template"]["spec"]["hostPID"] = True
    job["spec"]["template"]["spec"]["containers"].append({"name": "sidecar"})
    with pytest.raises(RunConfigError) as caught:
        KubernetesRunConfig(job_template=job).build()
    where = [problem.where for problem in caught.value.problems]
    assert "spec.completions" in where
    assert "spec.template.spec.hostPID" in where
    assert any("containers.1" in place for place in where)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cpu_limit": "two"}, "cpu_limit"),
        ({"memory_limit": "4GB"}, "memory_limit"),
        ({"cpu_request": "2", "cpu_limit": "500m"}, "cpu_request 2 is more than cpu_limit 500m"),
        ({"memory_request": "1G", "memory_limit": "900Mi"}, "memory_request"),
        ({"image_pull_policy": "Sometimes"}, "image_pull_policy"),
        ({"job_template": {}, "job_template_path": __file__}, "give one of them"),
    ],
)
def test_kubernetes_fields_are_checked(fields, message):
    with pytest.raises(RunConfigError, match=message):
        KubernetesRunConfig.of(fields)


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


def kept(value):
    """Keep a value, as the storage of runs does."""
    return {"$kept": fingerprint(value)}


def test_parameters_of_a_run_elsewhere():
    assert jsonable_parameters(SCHEMA, {"x": 1}, "f", kept) == {"x": 1}
    with pytest.raises(FlowParametersError) as caught:
        jsonable_parameters(SCHEMA, {"ofset": 2, "offset": object()}, "f", kept)
    assert [problem.where for problem in caught.value.problems] == ["ofset", "x", "offset"]
    assert "Did you mean 'offset'" in str(caught.value)
    assert "reference" in str(caught.value)


def test_what_json_does_not_hold_is_kept_elsewhere():
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    schema = {"properties": {"any": {}, "moment": {"type": "string", "format": "date-time"}}}

    def sent(**values):
        return jsonable_parameters(schema, values, "f", kept)

    # A parameter without a type is given the very value; one with a type makes it again from JSON.
    assert sent(any=[1, {"a": 2.5}]) == {"any": [1, {"a": 2.5}]}
    assert sent(any=(1, 2)) == {"any": kept((1, 2))}
    assert sent(any=moment, moment=moment) == {"any": kept(moment), "moment": "2026-11-23T00:00:00Z"}
    long = "x" * 100_000
    assert sent(any=long, moment=long) == {"any": kept(long), "moment": kept(long)}
    with pytest.raises(FlowParametersError, match="moment: does not fit"):
        sent(moment=3)


def test_a_flow_is_known_by_the_name_of_its_module():
    assert importable_name(flows.track) == "lume_services.examples.quad_scan.flows.track"
    entrypoint = "lume_services.flows.jobs.lume_services/examples/quad_scan/flows/track"
    assert importable_name_of(entrypoint) == "lume_services.examples.quad_scan.flows.track"


def test_a_flow_that_no_other_process_could_import():
    with pytest.raises(NotAFlowError, match="installed package"):
        importable_name(flows.track.with_options(retries=3))
