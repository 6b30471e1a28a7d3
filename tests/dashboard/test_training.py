"""One real training from the form to its end, in a browser, by a service as its users start it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from ctrfast.data.shards import Dataset
from service.local import LocalService

QUICK = {"CTRFAST_HEARTBEAT_S": "0.2", "CTRFAST_LEASE_S": "30"}
LABEL = "document.querySelector('[role=img][aria-label^=\"Loss: \"]').ariaLabel"
LONG_MS = 120_000  # a training's process imports TensorFlow first


def submit(page: Page, url: str, epochs: int) -> None:
    page.goto(f"{url}/ui/jobs/new")
    expect(page.get_by_label("dataset", exact=True)).to_have_value("clicks")
    page.get_by_label("batch_size", exact=True).fill("512")
    page.get_by_label("epochs", exact=True).fill(str(epochs))
    page.get_by_text("More settings of the run").click()
    page.get_by_label("log_every_steps", exact=True).fill("1")
    page.locator("[id='setting-model.hidden']").fill("8")
    page.locator("[id='setting-model.embedding_dim']").fill("4")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#state")).to_contain_text(re.compile("queued|running"))


def test_a_training_is_submitted_watched_paused_resumed(tmp_path: Path, dataset: Dataset, browser: Browser) -> None:
    home = tmp_path / "home"
    shutil.copytree(dataset.path, home / "data" / "clicks")
    with LocalService(home, settings=QUICK) as local, browser.new_context() as context:
        page, other = context.new_page(), context.new_page()
        assert context.request.post(f"{local.url}/v1/datasets", data={"name": "clicks", "path": "clicks"}).status == 201
        submit(page, local.url, epochs=10_000)
        submit(other, local.url, epochs=1)
        expect(other.locator("#progress")).to_contain_text("in the queue")
        other.once("dialog", lambda dialog: dialog.accept())
        other.get_by_role("button", name="Cancel").click()
        expect(other.locator("#state")).to_contain_text("cancelled")

        loss = page.get_by_role("img", name=re.compile("^Loss: "))
        expect(loss).to_have_attribute("aria-label", re.compile(r"training \d"), timeout=LONG_MS)
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#state .state")).to_have_text("paused", timeout=LONG_MS)
        places = int(re.findall(r"\d+", loss.get_attribute("aria-label") or "")[0])
        page.get_by_role("button", name="Resume").click()
        expect(page.locator("#state .state")).to_have_text("running", timeout=LONG_MS)
        page.wait_for_function(f"least => Number({LABEL}.match(/\\d+/)[0]) > least", arg=places, timeout=LONG_MS)
        for title in ("Embedding norm", "Share of rows whose gradient was clipped", "Memory", "AUC"):
            expect(page.get_by_role("img", name=re.compile(f"^{title}"))).to_be_visible()
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#state .state")).to_have_text("cancelled", timeout=LONG_MS)
