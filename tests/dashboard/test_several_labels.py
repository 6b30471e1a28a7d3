"""Models of several labels in a browser: each label's probability when one scores, its curves and its AUC of a job."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, expect

from service.leases import Report
from service.states import Kind
from tests import two_labels
from tests.service.conftest import Api, publish

ROW = {"n": 0.5, "a": "a1", "b": None}


def test_each_labels_probability_is_shown_by_its_name(
    make_api: Callable[..., Api], browser: Browser, tmp_path: Path
) -> None:
    api = make_api()
    publish(api, two_labels.make_bundle(tmp_path))
    answer = api.client.post("/v1/score", json={"model": "ctr", "candidates": [ROW]}).json()["scores"][0]
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{api.url}/ui/score")
        impression = page.get_by_label("Impression")
        expect(impression).not_to_have_value("")  # its columns are there
        impression.fill(json.dumps(ROW))
        page.get_by_role("button", name="Score", exact=True).click()
        table = page.locator("table", has=page.locator("caption", has_text="Scores"))
        expect(table.locator("tbody tr")).to_have_count(1)
        titles, cells = table.locator("th").all_text_contents(), table.locator("td").all_text_contents()
        assert titles == ["version", "probability: click", "probability: buy", "calibrated", "unseen", "fields missing"]
        expected = [*answer["probabilities"].values(), answer["calibrated"]]
        assert cells == ["1", *(f"{100 * share:.3f} %" for share in expected), "none", "1 of 3"]
        expect(page.locator("#answer")).to_contain_text("Of several labels, the first one's")


def test_a_job_has_the_curves_and_the_auc_of_each_label(make_api: Callable[..., Api], browser: Browser) -> None:
    api = make_api()
    api.services.jobs.enqueue(Kind.TRAIN, {"dataset": "shop", "batch_size": 512})
    lease = api.services.leases.claim("w")
    assert lease is not None
    records = [
        {"step": step, "loss": 1 / step, "valid_auc": 0.7, "valid_auc.buy": step / 10, "valid_log_loss.buy": 0.3}
        for step in range(1, 5)
    ]
    api.services.leases.renew(lease, Report(records=records))
    api.services.leases.succeed(lease, {"test_auc": 0.71, "test_auc.buy": 0.625}, lambda _: {})
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{api.url}/ui/jobs/{lease.job_id}")
        expect(page.locator("#facts")).to_contain_text("AUC, buy0.625")
        with page.expect_download() as download:
            page.get_by_role("button", name="AUC: CSV", exact=True).click()
        with Path(download.value.path()).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [float(row["validation, buy"]) for row in rows] == [0.1, 0.2, 0.3, 0.4]
        assert {row["validation"] for row in rows} == {"0.7"}
        loss = page.locator(".chart").filter(has=page.get_by_role("heading", name="Loss"))
        expect(loss).to_contain_text("validation (log loss), buy")
