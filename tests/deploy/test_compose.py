"""The compose file and what it mounts: of the specification's form, and naming commands and files that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.main import get_command

from service.cli import app
from service.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]
ENV_FILE = (ROOT / ".env.example").read_text()
STORE = {"AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
RAY = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_REPORT_URL", "GRPC_ENABLE_FORK_SUPPORT"}
ELSEWHERE = {*RAY, "MPLCONFIGDIR", "NUMBA_CACHE_DIR"}


def check_command(words: list[str]) -> None:
    command = COMMANDS[words[1]]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_it_is_of_the_specifications_form() -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    broken = {**COMPOSE, "services": {"api": {"comand": ["x"]}}}
    assert not validator.is_valid(broken)


def test_the_services_are_a_whole_cluster() -> None:
    wanted = {"postgres", "minio", "setup", "api", "worker", "ray-head", "ray-worker", "prometheus", "grafana"}
    assert set(SERVICES) == wanted
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= wanted
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], (name, other)
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if "build" not in service:
        assert re.search(r":(v?\d|RELEASE\.\d)", service["image"])  # a version, not what is newest
    if name == "setup":  # it ends
        assert "healthcheck" not in service
    else:
        assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_volumes_and_files_are_there(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source = volume.partition(":")[0]
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
        elif not source.startswith("$"):
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", ["setup", "api", "worker", "ray-head", "ray-worker"])
def test_the_environment_is_one_that_ctrfast_reads(name: str) -> None:
    for variable in set(SERVICES[name]["environment"]) - STORE - ELSEWHERE - {"CTRFAST_CACHE", "CTRFAST_RAY_ADDRESS"}:
        assert variable.removeprefix("CTRFAST_").lower() in Settings.model_fields


@pytest.mark.parametrize("name", ["api", "worker"])
def test_the_commands_exist(name: str) -> None:
    assert SERVICES[name]["command"][1] == name
    check_command(SERVICES[name]["command"])


def test_a_worker_s_health_is_a_command_of_its_own() -> None:
    check = SERVICES["worker"]["healthcheck"]["test"][1:]
    assert check[:-1] == SERVICES["worker"]["command"]
    check_command(check)


def test_ray_s_commands_exist_and_meet() -> None:
    from ray.scripts.scripts import start

    known = {name for parameter in start.params for name in parameter.opts}
    head, worker = (SERVICES[name]["command"] for name in ("ray-head", "ray-worker"))
    for command in (head, worker):
        assert command[:2] == ["ray", "start"]
        assert {word.partition("=")[0] for word in command[2:]} <= known
    host, port = SERVICES["worker"]["environment"]["CTRFAST_RAY_ADDRESS"].removeprefix("ray://").split(":")
    assert host in SERVICES and f"--ray-client-server-port={port}" in head
    assert f"--address={host}:6379" in worker and "--port=6379" in head


def test_each_secret_comes_from_the_environment_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    used = set(re.findall(r"\$\{(\w+)", text))
    assert used == set(re.findall(r"^(\w+)=", ENV_FILE, re.MULTILINE))
    for name in used - {"CTRFAST_DATA"}:
        assert len(re.findall(rf"\${{{name}:\?set it in \.env}}", text)) == len(re.findall(rf"\${{{name}\b", text))
    assert re.findall(r"^(\w*(?:PASSWORD|TOKEN)\w*)=(.+)$", ENV_FILE, re.MULTILINE) == []
    assert "/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    dashboard = json.loads((DEPLOY / "grafana/dashboards/ctrfast.json").read_text())
    documented = set(re.findall(r"ctrfast_\w+", (ROOT / "docs/operations.md").read_text()))
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    shown: set[str] = set()
    for panel in dashboard["panels"]:
        assert panel["datasource"]["uid"] == source["uid"]
        for target in panel["targets"]:
            shown |= set(re.findall(r"ctrfast_\w+", target["expr"]))
    assert {name.removesuffix("_bucket") for name in shown} <= documented
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]}) == 12
    folder = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/ctrfast.yml").read_text())["providers"][0]
    mounted = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert folder["options"]["path"] in mounted


def test_prometheus_reads_the_api_with_the_key_that_setup_makes() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    key = job["authorization"]["credentials_file"]
    assert SERVICES["setup"]["command"][-1] == key
    assert all(f"keys:{Path(key).parent}" in ":".join(SERVICES[name]["volumes"]) for name in ("setup", "prometheus"))
    assert job["static_configs"][0]["targets"] == ["api:8000"]
    assert SERVICES["api"]["command"][-1] == "8000"


def test_dockerfile() -> None:
    text = (ROOT / "Dockerfile").read_text()
    command = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert command is not None
    check_command(yaml.safe_load(command.group(1)))
    assert "HEALTHCHECK" not in text  # the image is worker and Ray too: each service has its own
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    install = re.search(r'pip install .*-c constraints\.txt "\.\[(.*)\]"$', text, re.MULTILINE)
    assert install is not None
    assert {"cluster", "postgres", "s3"} <= set(install.group(1).split(","))


def test_the_build_context_is_what_the_dockerfile_copies() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert "*" in lines
    assert kept == {source.removeprefix("./") for line in copied for source in line.split()[:-1]}
