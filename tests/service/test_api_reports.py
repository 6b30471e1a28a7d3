"""A dataset's report over real HTTP: JSON or a page, made once and kept."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

import service.one_at_a_time
import service.reports
from ctrfast.data.report import DataReport, inspect_dataset
from ctrfast.data.shards import Dataset
from tests.service.conftest import ROWS, Api
from tests.service.test_api_jobs import problem

URL = "/v1/datasets/small/report"


@pytest.fixture
def known(api: Api, data_root: Path) -> Api:
    """An API that knows the dataset `small`."""
    api.services.datasets.register("small", data_root / "prepared")
    return api


@pytest.fixture
def inspections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hashes of the datasets that were read."""
    made: list[str] = []

    def counted(dataset: Dataset) -> DataReport:
        made.append(dataset.hash)
        return inspect_dataset(dataset)

    monkeypatch.setattr(service.reports, "inspect_dataset", counted)
    return made


def test_json(shared_api: Api, dataset: Path) -> None:
    response = shared_api.client.get(URL)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    report = DataReport.model_validate_json(response.content)
    assert report == inspect_dataset(Dataset.open(dataset))
    assert sum(report.rows.values()) == ROWS


def test_a_page_for_those_who_ask_for_one(shared_api: Api) -> None:
    page = shared_api.client.get(URL, headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.status_code == 200, page.text
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["vary"] == "Accept"
    assert page.text.startswith("<!doctype html>")
    assert "C26" in page.text
    assert shared_api.client.get(f"{URL}?format=html").content == page.content
    wants_json = shared_api.client.get(f"{URL}?format=json", headers={"Accept": "text/html"})
    assert wants_json.headers["content-type"] == "application/json"


def test_a_report_is_made_once_and_outlives_its_dataset(
    known: Api, data_root: Path, inspections: list[str], home: Path
) -> None:
    page = known.client.get(f"{URL}?format=html").content
    first = known.client.get(URL).content
    known.services.datasets.register("again", data_root / "prepared")
    assert known.client.get("/v1/datasets/again/report").content == first
    assert len(inspections) == 1
    shutil.rmtree(data_root / "prepared")
    assert known.client.get(URL).content == first
    assert known.client.get(f"{URL}?format=html").content == page
    assert sorted(file.suffix for file in (home / "reports").iterdir()) == [".html", ".json"]


def test_refusals(known: Api, data_root: Path) -> None:
    problem(known.client.get("/v1/datasets/none/report"), 404, "not_found")
    problem(known.client.get(f"{URL}?format=pdf"), 422, "bad_request", "format")
    shard = next((data_root / "prepared" / "train").iterdir())
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    for form in ("json", "html"):
        body = problem(known.client.get(f"{URL}?format={form}"), 409, "bad_artifact")
        assert str(data_root) not in body["detail"]
    shutil.rmtree(data_root / "prepared")
    problem(known.client.get(URL), 409, "bad_artifact")


def test_another_dataset_in_the_folder_is_not_reported_under_the_name(
    known: Api, data_root: Path, raw_file: Path
) -> None:
    from ctrfast.data.prepare import prepare
    from ctrfast.schema import preset

    shutil.rmtree(data_root / "prepared")
    prepare([raw_file], preset("criteo"), data_root / "prepared", min_count=5)
    body = problem(known.client.get(URL), 409, "bad_artifact")
    assert "another dataset" in body["detail"]


def test_the_api_answers_while_a_report_is_made(known: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(dataset: Dataset) -> DataReport:
        started.set()
        assert go_on.wait(60)
        return inspect_dataset(dataset)

    monkeypatch.setattr(service.reports, "inspect_dataset", slow)
    monkeypatch.setattr(service.one_at_a_time, "WAIT_S", 0.05)
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(known.client.get(URL)))
    asking.start()
    try:
        assert started.wait(60)
        assert known.client.get("/healthz").status_code == 200
        busy = known.client.get(URL)
        problem(busy, 503, "not_ready")
        assert int(busy.headers["retry-after"]) > 0
    finally:
        go_on.set()
        asking.join()
    assert answers[0].status_code == 200
    assert known.client.get(URL).content == answers[0].content
