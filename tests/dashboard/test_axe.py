"""axe-core finds no violation on any page, in both themes, on a wide and on a narrow screen."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.dashboard.published_world import World

AXE = Path(__file__).parent / "axe"
# By page, what is there once it is filled.
PAGES = {
    "/ui/sign-in": "#key",
    "/ui/jobs": "#jobs tbody tr",
    "/ui/jobs/new": "main fieldset",
    "/ui/jobs/SWEEP": "main table",
    "/ui/datasets": "#datasets tbody tr",
    "/ui/datasets/small": "#report table",
    "/ui/sweeps": "#sweeps tbody tr",
    "/ui/sweeps/SWEEP": "#runs tbody tr",
    "/ui/models": "#models tbody tr",
    "/ui/models/ctr": "#drift h3",
    "/ui/score": "#score-form:not([hidden])",
    "/ui/nothing": "main h1",
}
# By page, a button that shows more, and what is there then.
BUTTONS = {
    "/ui/sign-in": ("Sign in", ".error"),
    "/ui/models/ctr": ("Promote 1…", "dialog[open]"),
    "/ui/score": ("Score", "#answer table"),
}
FORMS: tuple[tuple[Any, int], ...] = (("light", 1280), ("dark", 360))


def test_axe_is_the_one_that_was_recorded() -> None:
    recorded = json.loads((AXE / "axe.json").read_text())["files"]
    assert {file.name for file in AXE.iterdir()} == {"axe.json", *recorded}
    for name, digest in recorded.items():
        assert hashlib.sha256((AXE / name).read_bytes()).hexdigest() == digest, name


def violations(page: Page, what: str) -> dict[str, Any]:
    page.evaluate((AXE / "axe.min.js").read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']}).then(found => found.violations)")
    return {
        f"{what} {of['id']}": [(node["html"][:200], node["failureSummary"]) for node in of["nodes"]] for of in found
    }


@pytest.mark.parametrize(("theme", "width"), FORMS)
def test_no_page_has_a_violation(browser: Browser, world: World, theme: Any, width: int) -> None:
    found: dict[str, Any] = {}
    with browser.new_context(color_scheme=theme, viewport={"width": width, "height": 900}) as context:
        page = world.sign_in(context)
        page.set_default_timeout(60_000)
        for path, filled in PAGES.items():
            page.goto(f"{world.url}{path.replace('SWEEP', world.sweep_id)}")
            page.locator(filled).first.wait_for()
            found |= violations(page, path)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is too wide"
            if path in BUTTONS:
                button, then = BUTTONS[path]
                if path == "/ui/sign-in":
                    page.get_by_label("API key").fill("no key")
                page.get_by_role("button", name=button, exact=True).click()
                page.locator(then).first.wait_for()
                found |= violations(page, f"{path}, {button}")
    assert found == {}
