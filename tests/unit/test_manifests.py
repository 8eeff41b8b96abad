"""The files in config/ that bring services up: they fit the published schemas, and each other."""

from __future__ import annotations

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from lume_services.config.settings import LUMEServicesSettings
from lume_services.services.scheduling.run_configs import KubernetesRunConfig
from lume_services.services.scheduling.run_configs.kubernetes_template import CONFIGURATION

CONFIG = Path(__file__).parent.parent.parent / "config"
KUBERNETES = CONFIG / "kubernetes"
KUSTOMIZATION = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
FILES = [*KUSTOMIZATION["resources"], "secrets.example.yaml"]
OBJECTS = [one for name in FILES for one in yaml.safe_load_all((KUBERNETES / name).read_text())]
COMPOSE = yaml.safe_load((CONFIG / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
LABEL = "app.kubernetes.io/name"
# From a required variable, or none: `${NAME:?}`.
REQUIRED = re.compile(r"\$\{[A-Z_]+:\?\}")


def name_of(item):
    return item["metadata"]["name"]


def of_kind(*kinds):
    return {name_of(item): item for item in OBJECTS if item["kind"] in kinds}


WORKLOADS = of_kind("Deployment", "StatefulSet")


def pod_of(workload):
    return workload["spec"]["template"]["spec"]


def variables_of(workload):
    (container,) = pod_of(workload)["containers"]
    return {entry["name"]: entry for entry in container["env"]}


def within(tree, key):
    """Yield all values of a key, wherever it is."""
    if isinstance(tree, dict):
        yield from ([tree[key]] if key in tree else [])
    for inner in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from within(inner, key)


def test_each_file_is_applied_or_an_example():
    there = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert there == set(FILES)


@pytest.mark.parametrize("version", ["1.28", "1.37"])
@pytest.mark.parametrize("item", OBJECTS, ids=lambda item: f"{item['kind']}-{name_of(item)}")
def test_each_object_fits_the_published_schema(item, version):
    assert kubernetes_validate.validate(item, version, strict=True) == version


def test_no_two_objects_have_the_same_name():
    names = [(item["kind"], name_of(item)) for item in OBJECTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_references_of_a_workload_are_there(name):
    workload, pod = WORKLOADS[name], pod_of(WORKLOADS[name])
    for kind, key, content in (
        ("Secret", "secretKeyRef", "stringData"),
        ("ConfigMap", "configMapKeyRef", "data"),
    ):
        for reference in within(pod, key):
            assert reference["key"] in of_kind(kind)[reference["name"]][content]
    made = {one["name"] for one in KUSTOMIZATION["configMapGenerator"]}
    assert {reference["name"] for reference in within(pod, "configMap")} <= made
    assert pod.get("serviceAccountName", "worker") in of_kind("ServiceAccount")
    claimed = {name_of(claim) for claim in workload["spec"].get("volumeClaimTemplates", ())}
    volumes = {volume["name"] for volume in pod.get("volumes", ())} | claimed
    assert {mount["name"] for mounts in within(pod, "volumeMounts") for mount in mounts} == volumes


@pytest.mark.parametrize("name", WORKLOADS)
def test_selectors_select(name):
    spec = WORKLOADS[name]["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"] == {LABEL: name}


@pytest.mark.parametrize("name", of_kind("Service"))
def test_a_service_leads_to_a_port_of_its_pods(name):
    service = of_kind("Service")[name]["spec"]
    (target,) = (one for one in WORKLOADS.values() if service["selector"] == {LABEL: name_of(one)})
    (container,) = pod_of(target)["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert [ports[port["targetPort"]] for port in service["ports"]] == [p["port"] for p in service["ports"]]
    # Kubernetes makes variables of it, which are no settings.
    assert not name.startswith(("lume", "prefect"))


def test_the_worker_may_do_what_it_needs_and_no_more():
    (role,) = of_kind("Role").values()
    granted = {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert granted == {
        ("batch", "jobs"): {"create", "get", "list", "watch", "delete", "patch"},
        ("", "pods"): {"get", "list", "watch"},
        ("", "pods/log"): {"get"},
        ("", "events"): {"get", "list", "watch"},
    }
    (binding,) = of_kind("RoleBinding").values()
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("Role", name_of(role))
    (subject,) = binding["subjects"]
    assert subject["name"] == pod_of(WORKLOADS["worker"])["serviceAccountName"]
    assert subject["namespace"] == KUSTOMIZATION["namespace"] == name_of(*of_kind("Namespace").values())
    assert not of_kind("ClusterRole", "ClusterRoleBinding")


def test_only_the_worker_gets_a_token_of_kubernetes():
    assert of_kind("ServiceAccount")["job"]["automountServiceAccountToken"] is False
    for name in WORKLOADS.keys() - {"worker"}:
        assert pod_of(WORKLOADS[name])["automountServiceAccountToken"] is False


def test_the_health_of_the_worker_is_asked_for_where_it_is_told():
    (container,) = pod_of(WORKLOADS["worker"])["containers"]
    compose = SERVICES["worker"]
    asked = (container["livenessProbe"]["exec"]["command"], compose["healthcheck"]["test"])
    for told, question in zip((container["args"], compose["command"]), asked, strict=True):
        port = told[told.index("--health-port") + 1]
        assert f"http://127.0.0.1:{port}/health" in question[-1]


@pytest.mark.parametrize("name", WORKLOADS)
def test_containers_have_few_rights(name):
    pod = pod_of(WORKLOADS[name])
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_no_secret_is_in_clear():
    for secret in of_kind("Secret").values():
        assert all(re.search("<.+>", text) for text in secret["stringData"].values())
        assert "data" not in secret
    assert "secrets.example.yaml" not in KUSTOMIZATION["resources"]
    for workload in WORKLOADS.values():
        for name, entry in variables_of(workload).items():
            if re.search(r"PASSWORD$|AUTH_STRING$|CONNECTION_URL$", name):
                assert "secretKeyRef" in entry["valueFrom"], name


def test_the_worker_hands_credentials_on_by_reference_and_watches_its_namespace():
    variables, prefix = variables_of(WORKLOADS["worker"]), "PREFECT_INTEGRATIONS_KUBERNETES"
    own = variables["PREFECT_API_AUTH_STRING"]["valueFrom"]["secretKeyRef"]
    handed_on = {key: variables[f"{prefix}_WORKER_API_AUTH_STRING_SECRET_{key.upper()}"] for key in own}
    assert {key: entry["value"] for key, entry in handed_on.items()} == own
    watched = variables[f"{prefix}_OBSERVER_NAMESPACES"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert watched == "metadata.namespace"


def test_the_settings_of_jobs_are_settings(monkeypatch):
    settings, secrets = of_kind("ConfigMap")[CONFIGURATION], of_kind("Secret")[CONFIGURATION]
    for name, text in (settings["data"] | secrets["stringData"]).items():
        monkeypatch.setenv(name, text)
    read = LUMEServicesSettings()
    assert (read.backend, str(read.home)) == ("kubernetes", "/data")
    port = of_kind("Service")["server"]["spec"]["ports"][0]["port"]
    assert read.prefect.api_url == f"http://server:{port}/api"
    assert read.results_db.host == "mongodb"
    assert read.results_db.options == {"authSource": read.results_db.database}


def test_the_runs_of_jobs_refer_to_what_is_there():
    settings = of_kind("ConfigMap")[CONFIGURATION]["data"]
    run = KubernetesRunConfig.model_validate_json(settings["LUME_RUN_CONFIG"])
    (image,) = KUSTOMIZATION["images"]
    assert run.image == f"{image['newName']}:{image['newTag']}"
    assert run.namespace == KUSTOMIZATION["namespace"]
    assert run.service_account_name in of_kind("ServiceAccount")
    (volume,), (mount,) = run.volumes, run.volume_mounts
    assert volume["persistentVolumeClaim"]["claimName"] in of_kind("PersistentVolumeClaim")
    assert (mount["name"], mount["mountPath"]) == (volume["name"], settings["LUME_HOME"])


def test_compose_knows_these_services_and_when_they_are_ready():
    assert set(SERVICES) == {"mongodb", "postgresql", "server", "worker"}
    for name, service in SERVICES.items():
        assert {"image", "restart", "environment"} <= set(service), name
        for needed, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[needed]
        assert service["healthcheck"]["test"][0] == "CMD", name
    assert set(SERVICES["worker"]["depends_on"]) == {"mongodb", "server"}


def test_compose_has_its_volumes_and_files():
    mounts = [volume for service in SERVICES.values() for volume in service.get("volumes", ())]
    sources = {REQUIRED.sub("/there", mount).split(":")[0] for mount in mounts}
    assert {source for source in sources if not source.startswith((".", "/"))} == set(COMPOSE["volumes"])
    assert all((CONFIG / source).exists() for source in sources if source.startswith("."))


def test_compose_takes_secrets_from_the_environment_and_serves_this_machine_alone():
    for service in SERVICES.values():
        for name, text in service["environment"].items():
            if re.search(r"PASSWORD$|AUTH_STRING$", name):
                assert REQUIRED.fullmatch(text), name
            elif "://" in text and "@" in text:
                assert re.search(rf"//\w+:{REQUIRED.pattern}@", text), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_the_settings_of_the_worker_of_compose_are_settings(monkeypatch):
    for name, text in SERVICES["worker"]["environment"].items():
        monkeypatch.setenv(name, REQUIRED.sub("/there", text))
    read = LUMEServicesSettings()
    assert (read.backend, read.results_db.host, read.results_db.username) == ("process", "mongodb", "lume")
