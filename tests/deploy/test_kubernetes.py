"""The manifests of docs/kubernetes.md: commands and settings that exist, and no more rights than are needed."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from service.settings import Settings
from tests.deploy.test_compose import DEPLOY, SERVICES, STORE, check_command

(LIST,) = yaml.safe_load_all((DEPLOY / "kubernetes/ctrfast.yaml").read_text())
ITEMS: dict[tuple[str, str], Any] = {(item["kind"], item["metadata"]["name"]): item for item in LIST["items"]}
PODS = {key: item["spec"]["template"]["spec"] for key, item in ITEMS.items() if key[0] in {"Job", "Deployment"}}


@pytest.mark.parametrize("key", PODS, ids=lambda key: key[1])
def test_a_pod_runs_a_command_that_exists_with_no_more_rights_than_it_needs(key: tuple[str, str]) -> None:
    pod = PODS[key]
    (container,) = pod["containers"]
    assert container["command"][:2] == ["ctrfast-service", container["name"]]
    check_command(container["command"])
    if container["name"] == "worker":
        assert container["readinessProbe"]["exec"]["command"] == SERVICES["worker"]["healthcheck"]["test"][1:]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_selectors_find_their_pods() -> None:
    for (kind, _), item in ITEMS.items():
        if kind == "Deployment":
            assert item["spec"]["selector"]["matchLabels"] == item["spec"]["template"]["metadata"]["labels"]
    labels = ITEMS["Deployment", "api"]["spec"]["template"]["metadata"]["labels"]
    assert ITEMS["Service", "api"]["spec"]["selector"] == labels


def test_settings_exist() -> None:
    given = ITEMS["ConfigMap", "ctrfast"]["data"]
    for name in set(given) - STORE - {"CTRFAST_CACHE", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"}:
        assert name.removeprefix("CTRFAST_").lower() in Settings.model_fields
    grace_s = PODS["Deployment", "worker"]["terminationGracePeriodSeconds"]
    assert grace_s > Settings.model_fields["shutdown_grace_s"].default


def test_the_ray_cluster_is_of_the_same_image_and_shares_the_home() -> None:
    claim, cluster = yaml.safe_load_all((DEPLOY / "kubernetes/ray.yaml").read_text())
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    home = ITEMS["ConfigMap", "ctrfast"]["data"]["CTRFAST_HOME"]
    for group in groups:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"] == PODS["Deployment", "worker"]["containers"][0]["image"]
        assert container["volumeMounts"][0]["mountPath"] == home
        assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        assert {entry["name"] for entry in container["env"]} <= set(SERVICES["ray-head"]["environment"])
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
