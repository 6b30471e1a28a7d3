"""What pictures are drawn from: a version's calibration with its reliability diagram, and the published results."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ctrfast.calibration import Calibration, scores_of
from ctrfast.kept_scores import TEST_SCORES, load_scores
from ctrfast.optim.published import PUBLISHED_AUC, PUBLISHED_MINUTES
from ctrfast.run import Run
from service.assignments import RUN
from tests.service.conftest import Api, publish
from tests.service.test_api_jobs import problem

ROUTE = "/v1/models/ctr/versions/1/calibration"


def test_the_calibration_of_a_version(make_api: Callable[..., Api], bundle: Path) -> None:
    api = make_api()
    publish(api, bundle)
    told = api.client.get(ROUTE).json()
    calibration = Calibration.load(bundle)
    assert (told["model"], told["version"], told["method"]) == ("ctr", 1, calibration.method)
    assert (told["reason"], told["fitted_rows"]) == (calibration.reason, calibration.rows)
    assert told["note"] == "The files of the training are not on this server, or were changed."
    assert (told["test_rows"], told["before"], told["after"]) == (0, [], [])

    job_id = api.client.get("/v1/models/ctr").json()["versions"][0]["job"]
    run = api.services.settings.job_folder(job_id) / RUN
    shutil.copytree(bundle.parent / "run", run)
    told = api.client.get(ROUTE).json()
    sha256 = Run.open(run).receipt.test_scores
    assert sha256 is not None
    scores = load_scores(run, sha256)
    order = np.argsort(scores_of(scores.logits), kind="stable")
    first, *_, last = np.array_split(scores.labels[order], 20)
    assert told["note"] is None
    assert sum(of["rows"] for of in told["before"]) == told["test_rows"] == len(scores.labels)
    assert [told["before"][place]["seen"] for place in (0, -1)] == [first.mean(), last.mean()]
    assert all(of["low"] <= of["seen"] <= of["high"] for of in told["before"])
    predicted = [of["predicted"] for of in told["before"]]
    assert predicted == sorted(predicted)
    assert bool(told["after"]) == (calibration.method != "identity")

    (run / TEST_SCORES).write_bytes(b"changed")
    assert api.client.get(ROUTE).json()["note"].startswith("The files of the training")


def test_versions_without_a_calibration(make_api: Callable[..., Api], bundle: Path) -> None:
    api = make_api()
    publish(api, bundle)
    problem(api.client.get("/v1/models/ctr/versions/2/calibration"), 404, "not_found")
    shutil.rmtree(api.services.registry.folder("ctr", 1))
    problem(api.client.get(ROUTE), 503, "bad_artifact")


def test_published_results(shared_api: Api) -> None:
    told = shared_api.client.get("/v1/published-results").json()
    assert "2204.06240" in told["source"]
    tables = {(table["preset"], table["network"]): table for table in told["tables"]}
    criteo = tables["criteo", "deepfm"]
    assert criteo["auc"]["131072"] == PUBLISHED_AUC["criteo"]["deepfm"][131072] / 100
    assert criteo["minutes"]["1024"] == PUBLISHED_MINUTES["criteo"]["deepfm"][1024]
    assert criteo["rule"] == "cowclip"
