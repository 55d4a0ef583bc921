"""What deploys the service agrees with the service, and with the formats that it is written in."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from importlib import metadata
from pathlib import Path

import check_jsonschema
import jsonschema
import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement

from service.client.client import Client
from service.serving.settings import Settings
from tests.conftest import ROOT, STRIPS, free_address

DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
VERSION = PROJECT["project"]["version"]
KUBERNETES = "1.37"
PROMQL = {
    *(
        "abs",
        "and",
        "by",
        "changes",
        "count",
        "group_left",
        "histogram_quantile",
        "increase",
        "max",
    ),
    *("offset", "on", "or", "rate", "sum", "vector"),
}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path):
    found = re.findall(r"^([\w.-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {canonical(name): version for name, version in found}


def needed(requirements):
    """The packages that requirements bring on this kind of machine, by what is installed here."""
    found = set()
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            name = canonical(requirement.name)
            found |= {name} | needed(metadata.requires(name) or [])
    return found


def manifests():
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if manifest["kind"] != "Kustomization":
                yield manifest


def manifest(kind):
    (found,) = (each for each in manifests() if each["kind"] == kind)
    return found


def compose():
    """The Compose file where no variable is set."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\{\w+:-(.*?)\}", r"\1", text))


def dashboard():
    return json.loads((DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8"))


def expressions():
    """Every expression of the dashboard and the alerts, by what it is for."""
    board = dashboard()
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def names(expression):
    """The metrics that a PromQL expression names."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on|group_left) \([^)]*\)', " ", expression)
    bare = re.sub(r"\b\d[\w.]*", " ", bare)
    return set(re.findall(r"[a-zA-Z_]\w*", bare)) - PROMQL


@pytest.mark.parametrize("lock", ["requirements.txt", "build-requirements.txt"])
def test_the_image_locks_the_versions_that_set_up_installs(lock):
    constraints = pins(ROOT / "constraints.txt")
    for name, version in pins(DEPLOY / lock).items():
        assert version == constraints[name], f"{name}: run `make lock`"


@pytest.mark.parametrize("lock", ["requirements.txt", "build-requirements.txt"])
def test_every_locked_package_has_its_hashes(lock):
    text = (DEPLOY / lock).read_text(encoding="utf-8")
    for each in re.split(r"\n(?=\w)", text)[1:]:
        assert "--hash=sha256:" in each
    assert "://" not in text  # where packages come from is a machine's own matter


def test_the_image_locks_what_the_service_needs_and_nothing_else():
    project = PROJECT["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["web"]
    assert set(pins(DEPLOY / "requirements.txt")) == needed(wanted)


def test_the_bill_of_materials_lists_exactly_what_is_locked(tmp_path):
    out = tmp_path / "sbom.json"
    subprocess.run(
        [sys.executable, DEPLOY / "tools" / "sbom.py", out], check=True, capture_output=True
    )
    bill = json.loads(out.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["version"] == VERSION
    listed = {canonical(each["name"]): each["version"] for each in bill["components"]}
    assert listed == pins(DEPLOY / "requirements.txt")
    for each in bill["components"]:
        assert each["licenses"], each["name"]
        assert each["externalReferences"][0]["hashes"], each["name"]


@pytest.mark.parametrize("manifest", list(manifests()), ids=lambda manifest: manifest["kind"])
def test_a_manifest_is_one_that_kubernetes_knows(manifest):
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_a_misspelled_manifest_is_found():
    wrong = manifest("Deployment")
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


def test_every_manifest_is_applied():
    listed = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert files - {"kustomization.yaml"} == set(listed)


def merged(base, patch):
    """A manifest under a strategic merge patch, as kubectl makes it: lists go by their keys."""
    if isinstance(base, list) and isinstance(patch, list):
        key = next(key for key in ("mountPath", "containerPort", "name") if key in patch[0])
        found = {each[key]: each for each in base}
        found |= {each[key]: merged(found.get(each[key]), each) for each in patch}
        return [*found.values()]
    if isinstance(base, dict) and isinstance(patch, dict):
        both = base | {name: merged(base.get(name), value) for name, value in patch.items()}
        return {name: value for name, value in both.items() if value is not None}
    return patch


def secured():
    """The Deployment of deploy/kubernetes-secured."""
    folder = DEPLOY / "kubernetes-secured"
    overlay = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert overlay["resources"] == ["../kubernetes"]
    (patch,) = overlay["patches"]
    return merged(manifest("Deployment"), yaml.safe_load((folder / patch["path"]).read_text()))


def test_the_secured_deployment_is_one_that_kubernetes_knows():
    kubernetes_validate.validate(secured(), KUBERNETES, strict=True)


def test_the_secured_deployment_mounts_its_secrets_where_the_settings_look():
    pod = secured()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    secrets = {each["name"]: each["secret"] for each in pod["volumes"] if "secret" in each}
    mounted = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    text = (DEPLOY / "kubernetes-secured" / "kustomization.yaml").read_text(encoding="utf-8")
    files = [each["value"] for each in container["env"] if each["value"].startswith("/")]
    assert len(files) == 3
    for file in files:
        folder, _, name = file.rpartition("/")
        secret = secrets[mounted[folder]]
        (made,) = re.findall(
            rf"^#   kubectl create secret .*{secret['secretName']} .*$", text, re.M
        )
        assert name in made or (" tls " in made and name in ("tls.crt", "tls.key"))
        # The pod's user is not root, and reads them by its group.
        assert secret["defaultMode"] == 0o440
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]
    assert pod["securityContext"]["runAsNonRoot"]


def test_the_secured_deployment_s_probes_find_its_server_serving(
    start_service, certificates, tmp_path
):
    (container,) = secured()["spec"]["template"]["spec"]["containers"]
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("a-token-of-sixteen-characters\n")
    there = {
        "/etc/digitstrip/tls/tls.crt": certificates / "127.0.0.1.pem",
        "/etc/digitstrip/tls/tls.key": certificates / "127.0.0.1.key",
        "/etc/digitstrip/tokens/tokens.txt": tokens,
    }
    environment = {each["name"]: each["value"] for each in container["env"]}
    secured_by = {name: str(there[file]) for name, file in environment.items() if file in there}
    assert len(secured_by) == 3
    server = start_service("--listen", "127.0.0.1:0", **secured_by)
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        program, *arguments = container[probe]["exec"]["command"]
        assert container[probe].keys().isdisjoint({"grpc", "httpGet", "tcpSocket"})
        assert program == "digitstrip"
        ended = subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments],
            env=os.environ | secured_by | {"DIGITSTRIP_LISTEN": server.address},
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (0, b"SERVING\n"), ended.stderr


def monitor():
    return yaml.safe_load((DEPLOY / "service-monitor.yaml").read_text(encoding="utf-8"))


def test_the_service_monitor_selects_the_service_and_a_port_that_it_has():
    service, selected = manifest("Service"), monitor()["spec"]["selector"]["matchLabels"]
    assert selected.items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor()["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


@pytest.mark.parametrize("wrong", [False, True], ids=["as it is", "without a selector"])
def test_the_service_monitor_is_one_that_the_operator_knows(npm_tools, wrong):
    manifest = monitor()
    if wrong:
        del manifest["spec"]["selector"]
    checked = subprocess.run(
        ["node", "monitor.js"],
        input=json.dumps(manifest).encode(),
        cwd=npm_tools,
        capture_output=True,
        check=False,
    )
    assert bool(checked.returncode) == wrong, checked.stderr


def test_manifests_select_the_pods_that_the_deployment_makes():
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("Service")["spec"]["selector"] == labels
    assert manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels


def test_a_pod_is_confined_and_opens_no_connections():
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    security = pod["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    policy = manifest("NetworkPolicy")["spec"]
    assert "Egress" in policy["policyTypes"]
    assert policy["egress"] == []


def test_a_pod_is_given_the_time_that_a_drain_takes():
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    environment = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    delay = float(environment["DIGITSTRIP_DRAIN_DELAY_SECONDS"])
    grace = Settings.model_fields["grace_seconds"].default
    assert pod["terminationGracePeriodSeconds"] > delay + grace


def deployed_environments():
    (container,) = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    yield {each["name"]: each["value"] for each in container["env"]}
    yield compose()["services"]["digitstrip"]["environment"]
    image = re.findall(r"(DIGITSTRIP_\w+)=(\S+)", (ROOT / "Dockerfile").read_text())
    yield dict(image)


def test_what_is_set_in_the_environment_are_settings(monkeypatch):
    for environment in deployed_environments():
        for name, value in environment.items():
            field = name.removeprefix("DIGITSTRIP_").lower()
            assert field in Settings.model_fields, name
            monkeypatch.setenv(name, value)
        Settings()


def test_everyone_names_the_image_of_this_version():
    (container,) = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"digitstrip:{VERSION}"
    assert compose()["services"]["digitstrip"]["image"] == f"digitstrip:{VERSION}"
    assert f"ARG VERSION={VERSION}\n" in (ROOT / "Dockerfile").read_text()


def test_compose_keeps_to_its_specification_and_mounts_what_is_there():
    schemas = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
    jsonschema.validate(compose(), json.loads((schemas / "compose-spec.json").read_text()))
    for name, service in compose()["services"].items():
        for volume in service.get("volumes", []):
            assert (DEPLOY / volume.split(":")[0]).exists(), f"{name}: {volume}"
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"


def test_the_dashboard_and_alerts_name_only_metrics_that_the_service_has(start_service):
    listen = free_address()
    server = start_service("--metrics-listen", listen)
    with Client(server.address) as client:
        client.recognize((STRIPS / "one-digit.png").read_bytes())
    with urllib.request.urlopen(f"http://{listen}/metrics", timeout=10) as answer:
        exposed = answer.read().decode()
    known = {"up"}  # Prometheus's own
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", exposed, re.MULTILINE):
        known |= (
            {f"{name}_{part}" for part in ("bucket", "count", "sum")}
            if kind == "histogram"
            else {name}
        )
    for where, expression in expressions():
        assert names(expression), where
        assert names(expression) <= known, where


def test_panels_neither_overlap_nor_stick_out():
    taken = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + dx, at["y"] + dy) for dx in range(at["w"]) for dy in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's package prometheus has it")
def test_prometheus_understands_its_settings_and_alerts():
    subprocess.run(["promtool", "check", "config", DEPLOY / "prometheus.yml"], check=True)
