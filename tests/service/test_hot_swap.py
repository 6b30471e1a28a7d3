"""Versions are swapped under Poisson load on two APIs: no request fails, none is answered by two.

`make hot-swap` runs the long form: a swap every 2 seconds for a minute.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from ctrfast.folders import read_manifest, write_manifest
from ctrfast.score import Scorer
from tests.service.conftest import EMBEDDED_AND_SHARED, Api, publish

SECONDS = float(os.environ.get("HOT_SWAP_SECONDS", "3"))
BETWEEN_S = 2.0 if SECONDS > 10 else 0.3
PER_SECOND = 40.0
ROWS = [{"I1": number, "C1": f"c{number}"} for number in range(5)]


@pytest.fixture
def other_bundle(bundle: Path, tmp_path: Path) -> Path:
    """A bundle that scores otherwise: one of its fields is centred elsewhere."""
    folder = tmp_path / "other"
    shutil.copytree(bundle, folder)
    schema = json.loads((folder / "schema.json").read_text())
    schema["statistics"]["I1"]["mean"] += 3.0
    (folder / "schema.json").write_text(json.dumps(schema))
    manifest = read_manifest(folder, "bundle")
    write_manifest(folder, {key: value for key, value in manifest.items() if key not in ("files", "seal")})
    return folder


@EMBEDDED_AND_SHARED
def test_no_request_fails_and_none_is_answered_by_two_versions(
    make_api: Callable[..., Api], bundle: Path, other_bundle: Path
) -> None:
    apis = [make_api(alias_refresh_s=0.5), make_api(alias_refresh_s=0.5)]
    expected = {}
    for version, folder in enumerate((bundle, other_bundle), start=1):
        assert publish(apis[0], folder) == version
        expected[str(version)] = Scorer.load(folder).score_rows(ROWS).tolist()
    assert expected["1"] != expected["2"]
    answered: set[tuple[int, str]] = set()
    wrong: list[str] = []
    stop = threading.Event()

    def ask(number: int, seed: int) -> None:
        chance = random.Random(seed)
        with httpx.Client(base_url=apis[number].url, timeout=120) as client:
            while not stop.wait(chance.expovariate(PER_SECOND)):
                answer = client.post("/v1/models/ctr:predict", json={"instances": ROWS})
                version = answer.headers.get("x-model-version", "")
                if answer.status_code != 200 or answer.json()["predictions"] != expected[version]:
                    wrong.append(f"{version}: {answer.text}")
                answered.add((number, version))

    threads = [threading.Thread(target=ask, args=(seed % 2, seed)) for seed in range(4)]
    for thread in threads:
        thread.start()
    begun, swaps = time.monotonic(), 0
    every_version_by_each = {(number, version) for number in range(2) for version in expected}
    # On a busy machine the first loads take longer than the rest.
    while (now := time.monotonic() - begun) < SECONDS or (answered != every_version_by_each and now < SECONDS + 60):
        version = 1 + swaps % 2
        assert apis[0].client.put("/v1/models/ctr/aliases/latest", json={"version": version}).status_code == 200
        swaps += 1
        time.sleep(BETWEEN_S)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert answered == every_version_by_each
