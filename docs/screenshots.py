"""The README's pictures of the dashboard, taken of a real job and a real sweep: `make screenshots`.

It starts a service of its own on synthetic clicks in a folder that goes when it ends, and writes `docs/pictures/`.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from ctrfast.client import Client
from ctrfast.data.prepare import prepare
from ctrfast.data.synth import synth
from ctrfast.schema import preset
from service.local import LocalService

PICTURES = Path(__file__).parent / "pictures"
SIZE = {"width": 1280, "height": 900}
BASE = {
    "dataset": "clicks",
    "model": {"name": "deepfm", "hidden": [64, 64]},
    "epochs": 2,
    "optimizer": {"lr_dense": 0.001, "lr_embed": 0.001, "l2": 0.0001},
}


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ctrfast-") as name:
        folder = Path(name)
        raw = folder / "clicks.tsv.gz"
        synth(raw, "criteo", 60_000, seed=1)
        prepare([raw], preset("criteo"), folder / "clicks", min_count=4, split="sequential")
        with LocalService(folder / "service", data_roots=[folder]) as local, Client(local.url) as client:
            client.register("clicks", str(folder / "clicks"))
            spec = {**BASE, "epochs": 6, "batch_size": 1024, "log_every_steps": 2, "publish_as": "ctr"}
            job = client.submit("train", {**spec, "scaling": {"rule": "cowclip", "base_batch_size": 256}})
            grid = {"scaling.rule": ["none", "cowclip", "adaptive"], "batch_size": [256, 2048, 8192], "seed": [1, 2]}
            base = {**BASE, "scaling": {"base_batch_size": 256}}
            sweep = client.submit("sweep", {"base": base, "grid": grid})
            client.wait(job, check=True)
            client.wait(sweep, check=True)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                take(browser, f"{local.url}/ui/jobs/{job.id}", "main canvas", "job.png")
                take(browser, f"{local.url}/ui/sweeps/{sweep.id}", "#runs tbody tr", "sweep.png")
                browser.close()


def take(browser: Browser, url: str, filled: str, file: str) -> None:
    """A picture of the top of a page once it is filled, in the light theme."""
    with browser.new_context(color_scheme="light", viewport=SIZE, timezone_id="UTC", locale="en-GB") as context:
        page = context.new_page()
        page.goto(url)
        page.locator(filled).first.wait_for(timeout=60_000)
        page.wait_for_timeout(1000)  # curves are drawn a moment after their data has come
        page.screenshot(path=PICTURES / file)


if __name__ == "__main__":
    main()
