"""The model that serving is measured on, made by the product itself, and the service that has it published.

    made = make_model(Path("build/bench"), rows=700_000)      # a home with versions 1 and 2 of the model `ctr`
    with api(made) as service:
        service.url, service.key                              # `ctrfast-service api`, one process, keys demanded

DeepFM, 26 id fields of 8 hexadecimal digits, 13 counts, D = 10, MLP 400-400-400; 700,000 synthetic impressions have
about a million ids. Version 1 is trained at a tenth of the learning rates, so that the scores of the two differ and
version 2 is the better one. Made once per (rows, seed) and kept.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.server import Probe, Server, free_port
from bench.workload import HIDDEN, SEED, WIDTH
from ctrfast.client import Client
from ctrfast.data.synth import synth
from service.projects import DEFAULT_PROJECT
from service.settings import Settings

NAME = "ctr"
ROWS = 700_000
TEST_FRACTION = 0.1  # of the rows, the last ones: what is sent to be scored
_VALID_FRACTION = 0.05
_WEAK, _STRONG = {"lr_dense": 8e-5, "lr_embed": 1e-5}, {"lr_dense": 8e-4, "lr_embed": 1e-4}
_MADE = "made.json"
_PROGRAMS = Path(sys.executable).parent


@dataclass(frozen=True)
class ServingModel:
    """home: of the service. raw: the impressions. versions: of the model, the weaker one first. ids: embedding rows."""

    home: Path
    raw: Path
    rows: int
    versions: tuple[int, int]
    ids: int

    def bundle(self, version: int) -> Path:
        """The published folder of a version."""
        return Settings(home=self.home).model_folder(DEFAULT_PROJECT, NAME, version).resolve()


@dataclass(frozen=True)
class Service:
    """A running API: its address, a key with every right, its process."""

    url: str
    key: str
    server: Server

    @property
    def header(self) -> str:
        """What a request must carry."""
        return f"Authorization: Bearer {self.key}"


def make_model(root: Path, rows: int, hidden: tuple[int, ...] = HIDDEN) -> ServingModel:
    """Draw, prepare, train and publish, where that is not done yet.

    Raises:
        SystemFailedError, CtrFastError: the service or a job failed.
    """
    folder = root / f"serve-{rows}-{SEED}"
    if not (folder / _MADE).is_file():
        shutil.rmtree(folder, ignore_errors=True)  # what an interrupted start left
        folder.mkdir(parents=True)
        made = _make(folder, rows, hidden)
        (folder / _MADE).write_text(json.dumps(made), encoding="utf-8")
    made = json.loads((folder / _MADE).read_text(encoding="utf-8"))
    return ServingModel(folder / "home", folder / "clicks.tsv", rows, tuple(made["versions"]), made["ids"])


@contextmanager
def api(made: ServingModel) -> Iterator[Service]:
    """`ctrfast-service api` on that home, with a new key; it is ended on leaving.

    Raises:
        SystemFailedError: it does not start.
    """
    environment = _environment(made.home)
    _run(environment, "migrate")
    scopes = [text for scope in ("score", "models:read", "models:write", "admin") for text in ("--scope", scope)]
    key = _run(environment, "create-key", "bench", "--expires-in", "12h", *scopes)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(_PROGRAMS / "ctrfast-service"), "api", "--port", str(port)]
    with Server("ctrfast", command, Probe(f"{url}/healthz"), environment) as server:
        with Client(url, key) as client:
            client.set_alias(NAME, "latest", made.versions[1])
        yield Service(url, key, server)


def _make(folder: Path, rows: int, hidden: tuple[int, ...]) -> dict[str, Any]:
    synth(folder / "clicks.tsv", "criteo", rows, SEED)
    home, port = folder / "home", free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(_PROGRAMS / "ctrfast-service"), "up", "--port", str(port)]
    environment = {**_environment(home), "CTRFAST_REQUIRE_KEY": "false", "CTRFAST_DATA_ROOTS": str(folder.resolve())}
    split = {"split": "sequential", "valid_fraction": _VALID_FRACTION, "test_fraction": TEST_FRACTION}
    with Server("ctrfast", command, Probe(f"{url}/healthz"), environment), Client(url) as client:
        prepared = client.prepare("clicks", {"raw": ["clicks.tsv"], "preset": "criteo", "min_count": 1, **split})
        client.wait(prepared, check=True)
        for optimizer in (_WEAK, _STRONG):
            spec = {
                "dataset": "clicks",
                "model": {"name": "deepfm", "embedding_dim": WIDTH, "hidden": list(hidden)},
                "batch_size": 2048,
                "scaling": {"rule": "cowclip", "base_batch_size": 1024},
                "optimizer": optimizer,
                "epochs": 1,
                "seed": SEED,
                "publish_as": NAME,
            }
            client.wait(client.submit("train", spec), check=True)
        versions = sorted(found.version for found in client.model(NAME).versions)
        return {"versions": versions, "ids": client.dataset("clicks").table_rows}


def _environment(home: Path) -> dict[str, str]:
    return {
        "CTRFAST_HOME": str(home.resolve()),
        "CTRFAST_REQUIRE_KEY": "true",
        "CTRFAST_LOG_LEVEL": "WARNING",
    }


def _run(environment: dict[str, str], *arguments: str) -> str:
    command = [str(_PROGRAMS / "ctrfast-service"), *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, check=True, capture_output=True, text=True
    ).stdout.strip()
