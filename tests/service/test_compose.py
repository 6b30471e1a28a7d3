"""Dockerfile and docker-compose.yml name commands, settings and files that exist."""

import re
from pathlib import Path

import yaml
from typer.main import get_command

from service.cli import app
from service.settings import Settings

ROOT = Path(__file__).parents[2]
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def check_command(words: list[str]) -> None:
    assert words[0] == "ctrfast-service"
    command = COMMANDS[words[1]]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = compose["services"]
    assert set(services) == {"migrate", "api", "worker"}
    for name, service in services.items():
        assert service["command"][1] == name
        check_command(service["command"])
        for variable in service["environment"]:
            assert variable.removeprefix("CTRFAST_").lower() in Settings.model_fields
        volumes = {volume.split(":")[0] for volume in service["volumes"] if not volume.startswith("$")}
        assert volumes <= set(compose["volumes"])
        assert set(service.get("depends_on", {})) <= set(services)
    assert all(port.startswith("127.0.0.1:") for port in services["api"]["ports"])


def test_dockerfile() -> None:
    text = (ROOT / "Dockerfile").read_text()
    command = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert command is not None
    check_command(yaml.safe_load(command.group(1)))
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    install = re.search(r"^RUN pip install (.*)$", text, re.MULTILINE)
    assert install is not None
    assert '-c constraints.txt ".[postgres]"' in install.group(1)


def test_the_build_context_is_what_the_dockerfile_copies() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert "*" in lines
    assert kept == {source.removeprefix("./") for line in copied for source in line.split()[:-1]}
