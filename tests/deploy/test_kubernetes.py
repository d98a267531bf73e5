"""Kubernetes: what kustomize makes of each overlay is valid, safe, and fits the app."""

import json
import re
import shutil
import subprocess
from functools import cache
from importlib import import_module
from typing import Any

import httpx
import kubernetes_validate
import pytest
import yaml

from catdog.settings import Settings, load_settings, variable
from tests.conftest import ROOT
from tests.web.conftest import Server

KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("development", "replicas", "volume")
Resource = dict[str, Any]


@cache
def needs_kustomize() -> None:
    """Skip without a kubectl that can render; not even CI insists, for Debian 12's own is too old. GitHub's is not."""
    told = "{}"
    if shutil.which("kubectl"):
        asked = ["kubectl", "version", "--client", "--output=json"]
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout or "{}"
    version = re.match(r"v(\d+)", json.loads(told).get("kustomizeVersion", ""))
    if version is None or int(version[1]) < 5:
        pytest.skip("no kubectl with kustomize 5 is installed (1.27 or newer)")


@cache
def rendered(overlay: str) -> tuple[Resource, ...]:
    needs_kustomize()
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def resource(overlay: str, kind: str, name: str = "catdog") -> Resource:
    (found,) = [each for each in rendered(overlay) if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def app(overlay: str) -> Resource:
    return resource(overlay, "StatefulSet" if overlay == "volume" else "Deployment")


def pods(overlay: str) -> dict[str, Resource]:
    """Every pod template, by the name of what makes its pods."""
    found = {}
    for each in rendered(overlay):
        spec = each["spec"]["jobTemplate"]["spec"] if each["kind"] == "CronJob" else each.get("spec", {})
        if "template" in spec:
            found[each["metadata"]["name"]] = spec["template"]
    return found


def configuration(overlay: str, name: str) -> dict[str, str]:
    """The variables that a container reads from its ConfigMap, followed by name as the pod does."""
    (container,) = pods(overlay)[name]["spec"]["containers"]
    (reference,) = [each["configMapRef"]["name"] for each in container["envFrom"] if "configMapRef" in each]
    data: dict[str, str] = resource(overlay, "ConfigMap", reference)["data"]
    return data


def matches(selector: dict[str, str], pod: Resource) -> bool:
    return selector.items() <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_resource_is_one_that_kubernetes_accepts(overlay: str) -> None:
    for each in rendered(overlay):
        kubernetes_validate.validate(each, "1.37", strict=True)


def test_the_validation_would_notice_a_wrong_field() -> None:
    wrong = {**app("replicas"), "spec": {**app("replicas")["spec"], "replicaz": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_has_more_rights_than_it_needs(overlay: str) -> None:
    assert {"catdog", "catdog-retrain"} <= pods(overlay).keys()
    for name, pod in pods(overlay).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name
            assert {"/tmp"} < {mount["mountPath"] for mount in container["volumeMounts"]}, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_user_of_the_pods_is_that_of_the_image(overlay: str) -> None:
    users = set(re.findall(r"^USER (\d+):", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert {str(pod["spec"]["securityContext"]["runAsUser"]) for pod in pods(overlay).values()} == users


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_service_named_catdog_does_not_set_catdog_port(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        assert pod["spec"]["enableServiceLinks"] is False, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_app_reads_its_configuration(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {variable(field) for field in Settings.model_fields}
    told = configuration(overlay, "catdog")
    assert told.keys() <= known
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.log_format == "json"
    assert settings.feedback_repo
    assert settings.remote_ack == (overlay != "volume")
    assert settings.trusted_proxies == (0 if overlay == "development" else 1)


@pytest.mark.parametrize("overlay", ["replicas", "volume"])
def test_secrets_are_named_and_not_written_down(overlay: str) -> None:
    assert not [each for each in rendered(overlay) if each["kind"] == "Secret"]
    for name in ("catdog", "catdog-retrain"):
        (container,) = pods(overlay)[name]["spec"]["containers"]
        assert [each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each] == [name]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_have_versions(overlay: str) -> None:
    for pod in pods(overlay).values():
        for container in pod["spec"]["containers"]:
            _, _, tag = container["image"].rpartition(":")
            assert tag in {"local", "COMMIT"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_service_budget_and_spread_are_about_the_apps_pods_alone(overlay: str) -> None:
    templates = pods(overlay)
    selectors = [
        resource(overlay, "Service")["spec"]["selector"],
        resource(overlay, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        app(overlay)["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert [name for name, pod in templates.items() if matches(selector, pod)] == ["catdog"]


def test_what_probes_ask_for_is_there(server: Server) -> None:
    (container,) = pods("replicas")["catdog"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": Settings.model_fields["port"].default}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert httpx.get(f"{server.url}{asked['path']}", timeout=30).status_code == 200
        assert asked["port"] in ports


def test_replicas_are_replaced_one_after_another_and_grow_with_the_load() -> None:
    assert app("replicas")["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "replicas" not in app("replicas")["spec"]  # or each deployment would undo what the autoscaler did
    scaled = resource("replicas", "HorizontalPodAutoscaler")["spec"]
    assert scaled["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "catdog"}
    assert 2 <= scaled["minReplicas"] < scaled["maxReplicas"]


def test_a_visitor_stays_with_a_pod() -> None:
    ingress, service = resource("replicas", "Ingress"), resource("replicas", "Service")
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/affinity"] == "cookie"
    assert service["metadata"]["annotations"]["traefik.ingress.kubernetes.io/service.sticky.cookie"] == "true"
    size = ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert int(size.removesuffix("m")) * 1_000_000 > Settings.model_fields["max_bytes"].default
    (rule,) = ingress["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"]["name"] == service["metadata"]["name"]


def test_the_journal_of_the_volume_outlives_its_pod() -> None:
    spec = app("volume")["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert [volume["name"] for volume in spec["template"]["spec"]["volumes"]] == ["tmp"]
    (container,) = spec["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts[claim["metadata"]["name"]] == "/data"
    assert "CATDOG_DATA_DIR=/data" in (ROOT / "Dockerfile").read_text()
    assert spec["serviceName"] == resource("volume", "Service", "catdog-pods")["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_nightly_command_is_there_and_so_are_its_variables(
    overlay: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (container,) = pods(overlay)["catdog-retrain"]["spec"]["containers"]
    (command,) = container["args"]
    with pytest.raises(SystemExit, match="0"):
        import_module("train.__main__").main(["watch", "--help"])
    helped = capsys.readouterr().out
    assert "-m train watch" in command
    for option in re.findall(r"--[\w-]+", command):
        assert option in helped, option
    assert set(re.findall(r"\$([A-Z_]+)", command)) <= configuration(overlay, "catdog-retrain").keys()
    assert container["image"].rpartition(":")[0].endswith("-train")


def test_pods_reach_the_web_but_not_the_clusters_own_addresses() -> None:
    _, web = resource("replicas", "NetworkPolicy")["spec"]["egress"]
    (ipv4, _) = [to["ipBlock"] for to in web["to"]]
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(ipv4["except"])
    assert {port["port"] for port in web["ports"]} == {80, 443}
