"""`GET /v1/jobs/{id}/report`: of a training, a sweep and a prepared dataset, as JSON and as a page."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.assignments import RUN
from service.negotiation import PARQUET
from service.states import Kind, Reason
from service.wiring import Services
from tests.service.conftest import Api
from tests.service.test_api_jobs import problem

SPEC = {"base": {"dataset": "d"}, "grid": {"scaling.rule": ["none", "<b>"], "seed": [1, 2]}}
PAGE = {"Accept": "text/html"}


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api(lease_s=30.0)


class Words(HTMLParser):
    """The tags and the words of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += f"{data} "


def end(
    services: Services, job_id: str, metrics: Mapping[str, float | None], result: dict[str, Any] | None = None
) -> None:
    lease = services.leases.claim("w")
    assert lease is not None
    assert lease.job_id == job_id
    services.leases.succeed(lease, metrics, lambda _: result or {})
    services.leases.sweep()


def page_of(api: Api, job_id: str) -> Words:
    answer = api.client.get(f"/v1/jobs/{job_id}/report", headers=PAGE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    words = Words(answer.text)
    assert "script" not in words.tags
    return words


def test_a_training(api: Api, bundle: Path) -> None:
    run_path = bundle.parent / "run"
    job = api.services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"})
    url = f"/v1/jobs/{job.id}/report"
    assert "queued" in problem(api.client.get(url), 409, "illegal_state")["detail"]
    end(api.services, job.id, {})
    problem(api.client.get(url), 404, "not_found")  # another server has the run
    folder = api.services.settings.job_folder(job.id) / RUN
    shutil.copytree(run_path, folder)
    report = api.client.get(url).json()
    receipt = json.loads((run_path / "receipt.json").read_text())
    assert (report["job"], report["metrics"], report["steps"]) == (job.id, receipt["metrics"], receipt["steps"])
    assert report["plan"]["reasons"]["lr_dense"].startswith("0.0008 at batch 1,024")
    assert set(report["clipped_share_by_field"]) == {f"C{number}" for number in range(1, 27)}
    assert {record["split"] for record in report["evaluations"]} == {"valid", "test"}
    words = page_of(api, job.id).words
    assert "0.0008 at batch 1,024" in words
    assert f"{receipt['metrics']['test_auc']:.6g}" in words
    (folder / "receipt.json").write_text("{")
    problem(api.client.get(url), 404, "not_found")


def test_a_sweep(api: Api) -> None:
    specs = [{"scaling": {"rule": rule}, "seed": seed} for rule in ("none", "<b>") for seed in (1, 2)]
    sweep = api.services.jobs.enqueue(Kind.SWEEP, SPEC, children=specs)
    url = f"/v1/jobs/{sweep.id}/report"
    problem(api.client.get(url), 409, "illegal_state")
    runs = api.services.jobs.runs_of(sweep.id)
    for number, run in enumerate(runs):
        end(api.services, run.id, {"test_auc": 0.7 + number / 100, "valid_auc": 0.6 + number / 100})
    report = api.client.get(url).json()
    assert [run["job"] for run in report["runs"]] == [run.id for run in runs]
    assert report["runs"][1]["settings"] == {"scaling.rule": "none", "seed": 2}
    assert report["groups"][0]["figures"]["test_auc"]["mean"] == pytest.approx(0.705)
    assert report["best"]["job"] == runs[3].id
    page = page_of(api, sweep.id)
    assert "b" not in page.tags  # what the spec says is escaped
    assert "scaling.rule=<b>" in page.words
    assert "0.705 ± 0.0071" in page.words
    cancelled = api.services.jobs.enqueue(Kind.SWEEP, SPEC, children=specs)
    api.services.jobs.cancel(cancelled.id)
    assert {run["state"] for run in api.client.get(f"/v1/jobs/{cancelled.id}/report").json()["runs"]} == {"cancelled"}
    assert "No run has succeeded" in page_of(api, cancelled.id).words


# As `SPEC`, with settings that a training can have.
GRID = {
    "base": {"dataset": "d", "epochs": 2},
    "grid": {"scaling.rule": ["none", "cowclip"], "batch_size": [512, 1024], "seed": [1, 2]},
}


def ended_sweep(api: Api, *, failing: int | None = None) -> str:
    """A sweep of eight runs, whose AUC and log loss follow from their place; one may have failed."""
    specs = [
        {"dataset": "d", "epochs": 2, "scaling": {"rule": rule}, "batch_size": size, "seed": seed}
        for rule in ("none", "cowclip")
        for size in (512, 1024)
        for seed in (1, 2)
    ]
    sweep = api.services.jobs.enqueue(Kind.SWEEP, GRID, children=specs)
    for number, run in enumerate(api.services.jobs.runs_of(sweep.id)):
        if number == failing:
            lease = api.services.leases.claim("w")
            assert lease is not None
            api.services.leases.fail(lease, Reason.NAN_LOSS, "The loss is no number.")
        else:
            end(api.services, run.id, {"test_auc": 0.7 + number / 100, "test_log_loss": 0.5 - number / 100})
    api.services.leases.sweep()
    return sweep.id


def test_a_sweep_as_one_parquet_table(api: Api) -> None:
    job_id = ended_sweep(api, failing=2)
    url = f"/v1/jobs/{job_id}/report"
    answer = api.client.get(url, headers={"Accept": PARQUET})
    assert (answer.status_code, answer.headers["content-type"]) == (200, PARQUET)
    assert answer.headers["vary"] == "Accept"
    assert answer.headers["content-disposition"] == f'attachment; filename="{job_id}.parquet"'
    table = pq.read_table(io.BytesIO(answer.content)).to_pydict()
    runs = api.client.get(url).json()["runs"]
    assert table["job"] == [run["job"] for run in runs]
    assert table["setting.scaling.rule"] == ["none"] * 4 + ["cowclip"] * 4
    assert table["setting.batch_size"] == table["batch_size"] == [512, 512, 1024, 1024] * 2
    assert table["metrics.test_auc"] == [pytest.approx(0.7 + n / 100) if n != 2 else None for n in range(8)]
    assert (table["state"][2], table["reason"][2], table["epoch_s"][2]) == ("failed", "nan_loss", None)
    assert table["seconds"] == [run["seconds"] for run in runs]
    assert [run["epoch_s"] for run in runs[3:]] == [run["seconds"] / 2 for run in runs[3:]]
    prepared = api.services.jobs.enqueue(Kind.TRAIN, {"dataset": "d"})
    problem(api.client.get(f"/v1/jobs/{prepared.id}/report", headers={"Accept": PARQUET}), 409, "illegal_state")


def test_columns_of_numbers_are_so_in_each_sweep(api: Api) -> None:
    numbers = {"batch_size": pa.int64(), "seconds": pa.float64(), "epoch_s": pa.float64()}
    no_training = [{"scaling": {"rule": "<b>"}, "seed": 1}]  # so its batch size is not known; nor does it begin
    cancelled = api.services.jobs.enqueue(Kind.SWEEP, SPEC, children=no_training)
    api.services.jobs.cancel(cancelled.id)
    for job_id, has_one in ((cancelled.id, False), (ended_sweep(api), True)):
        answer = api.client.get(f"/v1/jobs/{job_id}/report", headers={"Accept": PARQUET})
        table = pq.read_table(io.BytesIO(answer.content))
        assert {name: table.schema.field(name).type for name in numbers} == numbers
        assert [table[name].null_count < table.num_rows for name in numbers] == [has_one] * 3


def test_a_figure_that_no_run_has_is_a_column_of_numbers(api: Api) -> None:
    specs = [{"scaling": {"rule": "none"}, "seed": seed} for seed in (1, 2)]
    sweep = api.services.jobs.enqueue(Kind.SWEEP, SPEC, children=specs)
    for run in api.services.jobs.runs_of(sweep.id):
        end(api.services, run.id, {"test_auc": None, "test_log_loss": 0.5})
    answer = api.client.get(f"/v1/jobs/{sweep.id}/report", headers={"Accept": PARQUET})
    table = pq.read_table(io.BytesIO(answer.content))
    for name, values in {"metrics.test_auc": [None, None], "metrics.test_log_loss": [0.5, 0.5]}.items():
        assert (table.schema.field(name).type, table[name].to_pylist()) == (pa.float64(), values)


def test_a_page_is_drawn_while_a_dataset_is_inspected(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.one_at_a_time.WAIT_S", 0.05)
    url = f"/v1/jobs/{ended_sweep(api)}/report"
    reports = api.services.reports
    with reports._page_turns.turn():
        problem(api.client.get(url, headers=PAGE), 503, "not_ready")
    with reports._turns.turn():
        assert api.client.get(url, headers=PAGE).status_code == 200


def test_a_sweeps_page_has_pictures(api: Api) -> None:
    job_id = ended_sweep(api)
    answer = api.client.get(f"/v1/jobs/{job_id}/report", headers=PAGE)
    figures = re.findall(r'<figure id="(\w+)">', answer.text)
    assert figures == ["test_auc", "test_log_loss", "epoch_s"]
    light, dark = (
        base64.b64decode(part)
        for part in re.findall(r'(?:srcset|src)="data:image/svg\+xml;base64,([^"]+)"', answer.text)[1::-1]
    )
    assert light != dark
    assert all(ET.fromstring(svg).tag.endswith("svg") for svg in (light, dark))
    assert page_of(api, job_id).tags.count("img") == 3
    assert api.client.get(f"/v1/jobs/{job_id}/report", headers=PAGE).content == answer.content


def test_pictures_that_cannot_be_drawn_are_told(api: Api) -> None:
    specs = [{"dataset": "d", "optimizer": {"l2": value / 1e6}} for value in range(13)]
    grid = {"base": {"dataset": "d"}, "grid": {"optimizer.l2": [value / 1e6 for value in range(13)]}}
    sweep = api.services.jobs.enqueue(Kind.SWEEP, grid, children=specs)
    for run in api.services.jobs.runs_of(sweep.id):
        end(api.services, run.id, {"test_auc": 0.7})
    words = page_of(api, sweep.id).words
    assert "No picture of the test AUC: A picture can have at most 12 lines. Got 13." in words
    assert "No picture of the test log loss: The frame must have the column" in words


def test_a_prepared_dataset(api: Api, data_root: Path) -> None:
    api.services.datasets.register("small", data_root / "prepared")
    job = api.services.jobs.enqueue(Kind.PREPARE, {"name": "small"})
    end(api.services, job.id, {}, {"dataset": "small"})
    report = api.client.get(f"/v1/jobs/{job.id}/report").json()
    assert report == api.client.get("/v1/datasets/small/report").json()


@pytest.mark.parametrize("kind", [Kind.SCORE, Kind.EVALUATE])
def test_kinds_without_a_report(make_api: Callable[..., Api], kind: Kind) -> None:
    api = make_api()
    job = api.services.jobs.enqueue(kind, {})
    problem(api.client.get(f"/v1/jobs/{job.id}/report"), 404, "not_found")
    problem(api.client.get("/v1/jobs/nope/report"), 404, "not_found")
