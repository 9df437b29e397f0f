"""`deploy/kubernetes/`: valid manifests, values that the chart knows, runs as configured.

No cluster and no Helm is needed: the models below name the chart's keys that the values use, and
Dagster's launcher makes the Kubernetes job of a run from them.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any, Literal
from unittest.mock import Mock

import dagster as dg
import kubernetes_validate
import pytest
import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config_schema
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import construct_dagster_k8s_job
from kubernetes.client import ApiClient
from pydantic import BaseModel, ConfigDict, Field

from storemon_pipeline.api.routes.health import router
from storemon_pipeline.settings import Settings
from storemon_pipeline_tests.helpers.documentation import anchors
from storemon_pipeline_tests.helpers.runner import PROJECT

FOLDER = PROJECT / "deploy/kubernetes"
PAGE = (FOLDER / "README.md").read_text()
VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = [
    manifest
    for name in ("settings.yaml", "api.yaml")
    for manifest in yaml.safe_load_all((FOLDER / name).read_text())
]
EXAMPLE = (FOLDER / "secrets.env.example").read_text()
VERSION = "1.35"
RELEASE = "dagster"

GIB = 2**30
WORKER_BYTES, RUN_BYTES = 0.4 * GIB, GIB
UNITS = {"Mi": 2**20, "Gi": GIB}


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [manifest for manifest in MANIFESTS if manifest["kind"] == kind]


def the(kind: str) -> dict[str, Any]:
    (manifest,) = of_kind(kind)
    return manifest


DEPLOYMENT: dict[str, Any] = VALUES["dagster-user-deployments"]["deployments"][0]
LAUNCHER: dict[str, Any] = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
API_POD: dict[str, Any] = the("Deployment")["spec"]["template"]["spec"]
API: dict[str, Any] = API_POD["containers"][0]


# The chart's names


class Keys(BaseModel):
    """A mapping of the chart's values; it has no other keys than these."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Image(Keys):
    repository: str
    tag: str
    pullPolicy: Literal["Always", "IfNotPresent", "Never"]  # noqa: N815 - the chart's, as below


class Named(Keys):
    name: str
    optional: bool = False


class Global(Keys):
    dagsterHome: str  # noqa: N815
    postgresqlSecretName: str  # noqa: N815


class Port(Keys):
    port: int


class PostgreSql(Keys):
    enabled: bool
    postgresqlHost: str  # noqa: N815
    postgresqlUsername: str  # noqa: N815
    postgresqlDatabase: str  # noqa: N815
    postgresqlScheme: str  # noqa: N815
    service: Port


class Pod(Keys):
    """What the chart copies into pods as it is; validated in one."""

    image: Image
    podSecurityContext: dict[str, Any]  # noqa: N815
    securityContext: dict[str, Any]  # noqa: N815
    resources: dict[str, Any]


class Service(Port):
    type: str


class Webserver(Pod):
    nameOverride: str  # noqa: N815
    service: Service
    readinessProbe: dict[str, Any]  # noqa: N815


class QueuedRunCoordinator(Keys):
    maxConcurrentRuns: int  # noqa: N815
    dequeueIntervalSeconds: int  # noqa: N815


class RunCoordinatorConfig(Keys):
    queuedRunCoordinator: QueuedRunCoordinator  # noqa: N815


class RunCoordinator(Keys):
    enabled: bool
    type: Literal["QueuedRunCoordinator"]
    config: RunCoordinatorConfig


class RunMonitoring(Keys):
    enabled: bool
    pollIntervalSeconds: int  # noqa: N815
    startTimeoutSeconds: int  # noqa: N815
    cancelTimeoutSeconds: int  # noqa: N815
    maxResumeRunAttempts: int  # noqa: N815


class Daemon(Pod):
    enabled: bool
    runCoordinator: RunCoordinator  # noqa: N815
    runMonitoring: RunMonitoring  # noqa: N815


class Enabled(Keys):
    enabled: bool


class UserDeployment(Pod):
    name: str
    dagsterApiGrpcArgs: list[str]  # noqa: N815
    port: int
    includeConfigInLaunchedRuns: Enabled  # noqa: N815
    envConfigMaps: list[Named]  # noqa: N815
    envSecrets: list[Named]  # noqa: N815
    volumes: list[dict[str, Any]]
    volumeMounts: list[dict[str, Any]]  # noqa: N815


class UserDeployments(Keys):
    enabled: bool
    enableSubchart: bool  # noqa: N815
    deployments: list[UserDeployment]


class RunK8sConfig(Keys):
    containerConfig: dict[str, Any]  # noqa: N815
    podSpecConfig: dict[str, Any]  # noqa: N815
    jobSpecConfig: dict[str, Any]  # noqa: N815


class K8sRunLauncherConfig(Keys):
    imagePullPolicy: str  # noqa: N815
    # the chart passes the names only
    envConfigMaps: list[Named]  # noqa: N815
    envSecrets: list[Named]  # noqa: N815
    volumes: list[dict[str, Any]]
    volumeMounts: list[dict[str, Any]]  # noqa: N815
    resources: dict[str, Any]
    securityContext: dict[str, Any]  # noqa: N815
    runK8sConfig: RunK8sConfig  # noqa: N815


class RunLauncherConfig(Keys):
    k8sRunLauncher: K8sRunLauncherConfig  # noqa: N815


class RunLauncher(Keys):
    type: Literal["K8sRunLauncher"]
    config: RunLauncherConfig


class TicksByResult(Keys):
    skipped: int
    success: int
    failure: int
    started: int


class Ticks(Keys):
    purgeAfterDays: int | TicksByResult  # noqa: N815


class Retention(Keys):
    enabled: bool
    sensor: Ticks
    schedule: Ticks


class PythonLogs(Keys):
    pythonLogLevel: str  # noqa: N815


class Values(Keys):
    """The keys of the chart dagster/dagster that values.yaml uses."""

    global_: Global = Field(alias="global")
    generatePostgresqlPasswordSecret: bool  # noqa: N815
    postgresql: PostgreSql
    dagsterWebserver: Webserver  # noqa: N815
    dagsterDaemon: Daemon  # noqa: N815
    user_deployments: UserDeployments = Field(alias="dagster-user-deployments")
    runLauncher: RunLauncher  # noqa: N815
    retention: Retention
    pythonLogs: PythonLogs  # noqa: N815
    telemetry: Enabled
    additionalInstanceConfig: dict[str, Any]  # noqa: N815


def test_values_have_only_keys_of_the_chart() -> None:
    Values.model_validate(VALUES)


def test_instance_settings_of_values_are_known_to_dagster() -> None:
    daemon, retention = VALUES["dagsterDaemon"], VALUES["retention"]
    monitoring, coordinator = daemon["runMonitoring"], daemon["runCoordinator"]
    queue = coordinator["config"]["queuedRunCoordinator"]
    # dagster.yaml as the chart writes it
    config = {
        "run_coordinator": {
            "module": "dagster._core.run_coordinator",
            "class": coordinator["type"],
            "config": {
                "max_concurrent_runs": queue["maxConcurrentRuns"],
                "dequeue_interval_seconds": queue["dequeueIntervalSeconds"],
            },
        },
        "run_monitoring": {
            "enabled": monitoring["enabled"],
            "poll_interval_seconds": monitoring["pollIntervalSeconds"],
            "start_timeout_seconds": monitoring["startTimeoutSeconds"],
            "cancel_timeout_seconds": monitoring["cancelTimeoutSeconds"],
            "max_resume_run_attempts": monitoring["maxResumeRunAttempts"],
        },
        "retention": {
            name: {"purge_after_days": retention[name]["purgeAfterDays"]}
            for name in ("sensor", "schedule")
        },
        "python_logs": {"python_log_level": VALUES["pythonLogs"]["pythonLogLevel"]},
        "telemetry": VALUES["telemetry"],
        **VALUES["additionalInstanceConfig"],
    }
    result = process_config(dagster_instance_config_schema(), config)
    assert result.success, result.errors
    # the same queue and the same driver as on one machine
    on_a_machine = yaml.safe_load((PROJECT / "deploy/dagster.yaml").read_text())
    assert config["run_coordinator"]["config"] == on_a_machine["run_queue"]
    database = on_a_machine["storage"]["postgres"]["postgres_db"]
    assert VALUES["postgresql"]["postgresqlScheme"] == database["scheme"]


# Kubernetes objects


def validated(manifest: dict[str, Any]) -> dict[str, Any]:
    kubernetes_validate.validate(manifest, VERSION, strict=True)
    return manifest


@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda manifest: f"{manifest['kind']}-{manifest['metadata']['name']}"
)
def test_manifest_is_valid(manifest: dict[str, Any]) -> None:
    validated(manifest)


@pytest.mark.parametrize(
    "pod", [VALUES["dagsterWebserver"], VALUES["dagsterDaemon"], DEPLOYMENT], ids=lambda _: "pod"
)
def test_pod_parts_of_values_are_valid(pod: dict[str, Any]) -> None:
    container = {
        "name": "dagster",
        "image": image_name(pod["image"]),
        "envFrom": [
            *({"configMapRef": source} for source in pod.get("envConfigMaps", [])),
            *({"secretRef": source} for source in pod.get("envSecrets", [])),
        ],
        "securityContext": pod["securityContext"],
        "resources": pod["resources"],
        "volumeMounts": pod.get("volumeMounts", []),
        **({"readinessProbe": pod["readinessProbe"]} if "readinessProbe" in pod else {}),
    }
    validated(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "dagster"},
            "spec": {
                "containers": [container],
                "securityContext": pod["podSecurityContext"],
                "volumes": pod.get("volumes", []),
            },
        }
    )


@pytest.fixture(scope="module")
def run_job() -> dict[str, Any]:
    """Return the Kubernetes job of a run, as Dagster's launcher makes it."""
    run_config = LAUNCHER["runK8sConfig"]
    # the launcher's part of dagster.yaml as the chart writes it
    with pytest.MonkeyPatch.context() as patch:
        # there is no cluster
        patch.setattr("kubernetes.config.load_incluster_config", lambda: None)
        launcher = K8sRunLauncher(
            service_account_name=RELEASE,
            instance_config_map=f"{RELEASE}-instance",
            postgres_password_secret=VALUES["global"]["postgresqlSecretName"],
            dagster_home=VALUES["global"]["dagsterHome"],
            image_pull_policy=LAUNCHER["imagePullPolicy"],
            load_incluster_config=True,
            env_config_maps=[source["name"] for source in LAUNCHER["envConfigMaps"]],
            env_secrets=[source["name"] for source in LAUNCHER["envSecrets"]],
            volumes=LAUNCHER["volumes"],
            volume_mounts=LAUNCHER["volumeMounts"],
            resources=LAUNCHER["resources"],
            security_context=LAUNCHER["securityContext"],
            run_k8s_config={
                "container_config": run_config["containerConfig"],
                "pod_spec_config": run_config["podSpecConfig"],
                "job_spec_config": run_config["jobSpecConfig"],
            },
            k8s_client_batch_api=Mock(),
            k8s_client_core_api=Mock(),
        )
    context = launcher.get_container_context_for_run(
        dg.DagsterRun(job_name="report_job", run_id="0" * 8)
    )
    job = construct_dagster_k8s_job(
        job_config=context.get_k8s_job_config(image_name(DEPLOYMENT["image"]), launcher),
        args=["dagster", "api", "execute_run"],
        job_name="run",
        user_defined_k8s_config=context.run_k8s_config,
    )
    manifest: dict[str, Any] = ApiClient().sanitize_for_serialization(job)
    return manifest


def test_job_of_a_run_is_valid(run_job: dict[str, Any]) -> None:
    validated(run_job)


def test_run_has_settings_secrets_and_data(run_job: dict[str, Any]) -> None:
    pod = run_job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    sources = [next(iter(source.values()))["name"] for source in container["envFrom"]]
    assert sources == ["storemon", "storemon"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts["/srv/data"] == "data"
    assert "data" in [volume["name"] for volume in pod["volumes"]]
    assert pod["securityContext"]["runAsUser"] == API_POD["securityContext"]["runAsUser"]
    assert run_job["spec"]["activeDeadlineSeconds"] == 4 * 3600


def test_run_has_a_worker_per_cpu_with_enough_memory(run_job: dict[str, Any]) -> None:
    (container,) = run_job["spec"]["template"]["spec"]["containers"]
    (workers,) = [entry for entry in container["env"] if entry["name"] == "STOREMON_WORKERS"]
    assert workers["valueFrom"] == {"resourceFieldRef": {"resource": "limits.cpu"}}
    assert container["resources"]["requests"] == container["resources"]["limits"]
    limits = container["resources"]["limits"]
    memory = int(limits["memory"][:-2]) * UNITS[limits["memory"][-2:]]
    assert memory >= int(limits["cpu"]) * WORKER_BYTES + RUN_BYTES


# Names that belong together


def image_name(image: dict[str, str]) -> str:
    return f"{image['repository']}:{image['tag']}"


def test_all_processes_have_the_image_of_the_page() -> None:
    images = {
        image_name(part["image"])
        for part in (VALUES["dagsterWebserver"], VALUES["dagsterDaemon"], DEPLOYMENT)
    }
    assert images == {API["image"]}
    (built,) = re.findall(r"docker build .* -t (\S+) \.", PAGE)
    assert images == {built}


def test_image_has_extras_of_the_page() -> None:
    (extras,) = re.findall(r"--build-arg EXTRAS=(\S+)", PAGE)
    assert {"server", "postgresql", "kubernetes", "s3"} == set(extras.split(","))
    pinned = (PROJECT / "constraints.txt").read_text()
    assert "\ndagster-k8s==" in pinned
    assert "\ns3fs==" in pinned


def test_chart_has_the_version_of_dagster() -> None:
    (pinned,) = re.findall(
        r"^dagster==(.*)$", (PROJECT / "constraints.txt").read_text(), re.MULTILINE
    )
    assert set(re.findall(r"--version (\S+)", PAGE)) == {pinned}


def test_referenced_objects_exist() -> None:
    created = set(re.findall(r"kubectl create secret generic (\S+)", PAGE))
    required = {source["name"] for source in DEPLOYMENT["envSecrets"] + LAUNCHER["envSecrets"]}
    required |= {entry["secretRef"]["name"] for entry in API["envFrom"] if "secretRef" in entry}
    assert created == required | {VALUES["global"]["postgresqlSecretName"]}
    maps = {source["name"] for source in DEPLOYMENT["envConfigMaps"] + LAUNCHER["envConfigMaps"]}
    maps |= {entry["configMapRef"]["name"] for entry in API["envFrom"] if "configMapRef" in entry}
    assert maps == {manifest["metadata"]["name"] for manifest in of_kind("ConfigMap")}
    (claim,) = {
        volume["persistentVolumeClaim"]["claimName"]
        for volume in DEPLOYMENT["volumes"] + LAUNCHER["volumes"]
    }
    assert claim == the("PersistentVolumeClaim")["metadata"]["name"]


def test_services_of_the_chart_have_the_used_names() -> None:
    webserver = VALUES["dagsterWebserver"]
    service = f"{RELEASE}-{webserver['nameOverride']}"
    env = {entry["name"]: entry["value"] for entry in API["env"]}
    assert env["STOREMON_DAGSTER_URL"] == f"http://{service}:{webserver['service']['port']}"
    assert webserver["readinessProbe"]["httpGet"]["port"] == webserver["service"]["port"]
    (rule,) = the("NetworkPolicy")["spec"]["ingress"]
    assert [entry["port"] for entry in rule["ports"]] == [webserver["service"]["port"]]
    labels = the("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert rule["from"][0]["podSelector"]["matchLabels"] == labels
    assert the("Service")["spec"]["selector"] == labels
    assert f"helm install {RELEASE} " in PAGE
    assert f"service/{service} " in PAGE


def test_probes_request_a_health_endpoint() -> None:
    paths = {
        API[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
    }
    assert paths <= {getattr(route, "path", None) for route in router.routes}
    (port,) = API["ports"]
    assert {"name": "STOREMON_API_PORT", "value": str(port["containerPort"])} in API["env"]


# Settings


def secrets_of_page() -> dict[str, str]:
    """Return the literals of the page's commands, with valid values."""
    valid = {
        "STOREMON_API_TOKENS": "t" * 32,
        "STOREMON_ALERT_WEBHOOK_URL": "https://example.com",
        "STOREMON_ALERT_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }
    words = shlex.split(PAGE.replace("`", " ").replace("'", " "))
    names = {word.partition("=")[0] for word in words if re.fullmatch(r"STOREMON_\w+=…", word)}
    assert names == valid.keys()
    return valid


def test_every_variable_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = dict(line.split("=", 1) for line in EXAMPLE.splitlines() if "=" in line)
    variables |= the("ConfigMap")["data"] | secrets_of_page()
    variables |= {entry["name"]: entry["value"] for entry in API["env"]}
    for name in [name for name in os.environ if name.startswith("STOREMON_")]:
        monkeypatch.delenv(name)
    ours = {name: value for name, value in variables.items() if name.startswith("STOREMON_")}
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert {f"STOREMON_{name.upper()}" for name in settings.model_fields_set} == ours.keys()
    assert settings.reports_dir.startswith("s3://")
    assert (settings.polls_url or "").startswith("s3://")
    assert str(settings.data_dir) == LAUNCHER["volumeMounts"][0]["mountPath"]


def test_names_of_services_set_no_setting() -> None:
    # Kubernetes sets NAME_PORT and others in every pod of the namespace
    services = [
        DEPLOYMENT["name"],
        *(manifest["metadata"]["name"] for manifest in of_kind("Service")),
    ]
    prefixes = tuple(f"{name.upper().replace('-', '_')}_" for name in services)
    ports = ("PORT", "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "SERVICE_PORT_GRPC")
    given = {f"{prefix}{port}" for prefix in prefixes for port in ports}
    assert not given & {f"STOREMON_{name.upper()}" for name in Settings.model_fields}


# The page


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)\s]+)\)", PAGE))
def test_link_of_the_page_leads_somewhere(link: str) -> None:
    name, _, anchor = link.partition("#")
    page = FOLDER / name if name else FOLDER / "README.md"
    assert page.exists()
    if anchor:
        assert anchor in anchors(page.read_text())


def test_files_of_commands_exist() -> None:
    named = set(re.findall(r"deploy/[\w./-]+", PAGE)) - {"deploy/kubernetes/secrets.env"}
    assert all(Path(PROJECT / name).exists() for name in named)
