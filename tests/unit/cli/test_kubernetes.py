"""deploy/kubernetes: valid against the schemas, and agreeing with the program that it starts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from config.settings import Settings
from tests import node_support
from tests.unit.cli.test_compose import OURS, check_command

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "kubernetes"
VERSION = "1.33"
KEDA = ROOT / "tests" / "keda_node"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
SCALED_OBJECT: dict[str, Any] = json.loads((FOLDER / "schemas" / "scaledobject.json").read_text())
OBJECTS: list[dict[str, Any]] = [
    found
    for name in KUSTOMIZATION["resources"]
    for found in yaml.safe_load_all((FOLDER / name).read_text())
]
DEPLOYMENTS = {o["metadata"]["name"]: o for o in OBJECTS if o["kind"] == "Deployment"}


def _name(found: dict[str, Any]) -> str:
    return f"{found['kind']}-{found['metadata']['name']}"


@pytest.mark.parametrize("found", OBJECTS, ids=_name)
def test_every_object_is_what_its_schema_says(found: dict[str, Any]) -> None:
    if found["kind"] == "ScaledObject":
        jsonschema.validate(found, SCALED_OBJECT)
    else:
        kubernetes_validate.validate(found, VERSION, strict=True)


def test_every_scaled_object_is_what_kedas_own_definition_says() -> None:
    """In Node: an npm package has KEDA's definitions as validators."""
    node_support.install(KEDA)
    scaled = [found for found in OBJECTS if found["kind"] == "ScaledObject"]
    broken = json.loads(json.dumps(scaled[0]))
    del broken["spec"]["scaleTargetRef"]

    told = json.loads(node_support.run(KEDA, "validate.mjs", given=json.dumps([*scaled, broken])))

    assert told[:-1] == [""] * len(scaled)
    assert "scaleTargetRef" in told[-1]


def test_a_misspelt_field_is_found() -> None:
    broken = json.loads(json.dumps(DEPLOYMENTS["api"]))
    broken["spec"]["template"]["spec"]["containers"][0]["comand"] = ["balance-cache"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)

    scaled = next(json.loads(json.dumps(o)) for o in OBJECTS if o["kind"] == "ScaledObject")
    del scaled["spec"]["triggers"][0]["metadata"]["query"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(scaled, SCALED_OBJECT)


def test_every_file_is_applied_and_every_name_is_one() -> None:
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}

    assert files == set(KUSTOMIZATION["resources"])
    assert len({_name(found) for found in OBJECTS}) == len(OBJECTS)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_same_commands_run_as_in_compose(name: str) -> None:
    [container] = DEPLOYMENTS[name]["spec"]["template"]["spec"]["containers"]

    check_command(container["command"])
    assert container["command"] == OURS[name]["command"]


def test_every_variable_is_a_setting() -> None:
    settings = {field.upper() for field in Settings.model_fields}
    [config] = [o for o in OBJECTS if o["kind"] == "ConfigMap"]
    given = {
        variable["name"]
        for deployment in DEPLOYMENTS.values()
        for container in deployment["spec"]["template"]["spec"]["containers"]
        for variable in container.get("env", [])
    }

    assert set(config["data"]) | given <= settings
    text = (FOLDER / "config.yaml").read_text()
    assert set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", text)) <= settings
    Settings(fuel_networks=config["data"]["FUEL_NETWORKS"])


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_nobody_is_root_or_writes_to_his_image(name: str) -> None:
    pod = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    [container] = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    assert "livenessProbe" in container


def test_what_is_scaled_is_there_and_each_query_names_a_metric_that_exists() -> None:
    documented = set(re.findall(r"balance_cache_\w+", (ROOT / "docs" / "metrics.md").read_text()))
    scaled = [o["spec"] for o in OBJECTS if o["kind"] == "ScaledObject"]

    assert {spec["scaleTargetRef"]["name"] for spec in scaled} == {"worker", "worker-invalidation"}
    for spec in scaled:
        assert "replicas" not in DEPLOYMENTS[spec["scaleTargetRef"]["name"]]["spec"]
        for trigger in spec["triggers"]:
            metrics = set(re.findall(r"balance_cache_\w+", trigger["metadata"]["query"]))
            assert metrics
            assert metrics <= documented
