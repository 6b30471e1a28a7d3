"""The README's pictures of the dashboard, taken of a real job and a real sweep: `make screenshots`.

It starts a service of its own on synthetic clicks in a folder that goes when it ends, and writes `docs/pictures/`. With
`--every-page FOLDER` it writes pictures of all pages there instead, at three widths in both themes, for looking at.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from ctrfast.client import Client
from ctrfast.data.prepare import prepare
from ctrfast.data.synth import synth
from ctrfast.schema import preset
from service.database import Database
from service.keys import KeyStore
from service.local import LocalService
from service.settings import Settings

PICTURES = Path(__file__).parent / "pictures"
SIZE = {"width": 1280, "height": 900}
WIDTHS = {360: 800, 1280: 900, 3840: 2160}  # and their heights
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
KINDS = ("train", "sweep", "prepare", "evaluate", "score")
ROWS = 120_000
BASE = {
    "dataset": "clicks",
    "model": {"name": "deepfm", "hidden": [64, 64]},
    "epochs": 4,  # so that the largest batch, too, takes some hundred steps
    "optimizer": {
        "lr_dense": 0.001,
        "lr_embed": 0.001,
        "l2": 0.001,
    },  # a tenth of this L2 overfits
}
RULES = ("none", "linear", "cowclip")
BATCH_SIZES = (256, 1024, 2048)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every-page", type=Path, metavar="FOLDER", help="take all pages, into this folder")
    every_page: Path | None = parser.parse_args().every_page
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ctrfast-") as name:
        folder = Path(name)
        raw = folder / "clicks.tsv.gz"
        synth(raw, "criteo", ROWS, seed=1)
        prepare([raw], preset("criteo"), folder / "clicks", min_count=4, split="sequential")
        with LocalService(folder / "service", data_roots=[folder]) as local, Client(local.url) as client:
            client.register("clicks", str(folder / "clicks"))
            spec = {**BASE, "epochs": 6, "batch_size": 1024, "log_every_steps": 2, "publish_as": "ctr"}
            job = client.submit("train", {**spec, "scaling": {"rule": "cowclip", "base_batch_size": 256}})
            grid = {"scaling.rule": RULES, "batch_size": BATCH_SIZES, "seed": [1, 2]}
            base = {**BASE, "scaling": {"base_batch_size": 256}}
            sweep = client.submit("sweep", {"base": base, "grid": grid})
            client.wait(job, check=True)
            client.wait(sweep, check=True)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                if every_page is None:
                    take(browser, f"{local.url}/ui/jobs/{job.id}", "main canvas", "job.png")
                    take(browser, f"{local.url}/ui/sweeps/{sweep.id}", "#runs tbody tr", "sweep.png")
                else:
                    take_all(browser, local.url, job.id, sweep.id, every_page)
                    with demanding_service(folder / "demanding") as demanding:
                        take_sign_in(browser, demanding.url, every_page)
                browser.close()


def demanding_service(home: Path) -> LocalService:
    """A service that demands a key, and has one."""
    settings = Settings(home=home)
    settings.make_folders()
    database = Database(settings.url)
    database.migrate()
    KeyStore(database).create("pictures")
    database.dispose()
    return LocalService(home, settings={"CTRFAST_REQUIRE_KEY": "1"})


def take_all(browser: Browser, url: str, job_id: str, sweep_id: str, folder: Path) -> None:
    """Pictures of all pages but the sign-in, whole."""
    pages = {
        "jobs": ("/ui/jobs", "#jobs tbody tr"),
        "job": (f"/ui/jobs/{job_id}", "main canvas"),
        **{f"new-{kind}": (f"/ui/jobs/new?kind={kind}", "main fieldset") for kind in KINDS},
        "datasets": ("/ui/datasets", "#datasets tbody tr"),
        "dataset": ("/ui/datasets/clicks", "#report table"),
        "sweeps": ("/ui/sweeps", "#sweeps tbody tr"),
        "sweep": (f"/ui/sweeps/{sweep_id}", "#runs tbody tr"),
        "models": ("/ui/models", "#models tbody tr"),
        "model": ("/ui/models/ctr", "#drift h3"),
        "score": ("/ui/score", "#score-form:not([hidden])"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for page, form in in_each_form(browser):
        for name, (path, filled) in pages.items():
            page.goto(f"{url}{path}")
            page.locator(filled).first.wait_for(timeout=60_000)
            if name == "score":
                page.get_by_role("button", name="Score", exact=True).click()
                page.locator("#answer table").first.wait_for(timeout=60_000)
            page.wait_for_timeout(1000)
            page.screenshot(path=folder / f"{name}-{form}.png", full_page=True)


def take_sign_in(browser: Browser, url: str, folder: Path) -> None:
    """Pictures of the sign-in page, before and after a key was refused."""
    for page, form in in_each_form(browser):
        page.goto(f"{url}/ui/jobs")
        page.get_by_label("API key").wait_for(timeout=60_000)
        page.screenshot(path=folder / f"sign-in-{form}.png", full_page=True)
        page.get_by_label("API key").fill("no key")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("alert").wait_for(timeout=60_000)
        page.screenshot(path=folder / f"sign-in-refused-{form}.png", full_page=True)


def in_each_form(browser: Browser) -> Iterator[tuple[Page, str]]:
    """A page in each theme at each width, and what this is called."""
    for theme in THEMES:
        for width, height in WIDTHS.items():
            with browser.new_context(color_scheme=theme, viewport={"width": width, "height": height}) as context:
                yield context.new_page(), f"{width}-{theme}"


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
