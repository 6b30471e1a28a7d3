"""axe-core finds no violation on any page, in both themes, on a wide and on a narrow screen; none is wider than it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from service.states import Kind
from tests.dashboard.published_world import World

AXE = Path(__file__).parent / "axe"
# By page, what is there once it is filled.
PAGES = {
    "/ui/sign-in": "#key",
    "/ui/jobs": "#jobs tbody tr",
    "/ui/jobs?label=team%3Dnobody": "#empty:not([hidden])",
    **{f"/ui/jobs/new?kind={kind}": "main fieldset" for kind in Kind},
    "/ui/jobs/SWEEP": "main table",
    "/ui/jobs/TRAINED": '[role=img][aria-label^="Embedding norm"]',
    "/ui/datasets": "#datasets tbody tr",
    "/ui/datasets/small": "#report table",
    "/ui/sweeps": "#sweeps tbody tr",
    "/ui/sweeps/SWEEP": "#runs tbody tr",
    "/ui/models": "#models tbody tr",
    "/ui/models/ctr": "#drift h3",
    "/ui/score": "#score-form:not([hidden])",
    "/ui/nothing": "main h1",
}


def refuse_a_key(page: Page) -> None:
    page.get_by_label("API key").fill("no key")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.locator(".error").wait_for()


def refuse_a_value(page: Page) -> None:
    page.locator("[id='setting-batch_size']").fill("many")
    page.locator("[id='setting-batch_size-error']").wait_for()


def unfold(page: Page) -> None:
    for part in ("#plan table", "#log", "#events tr"):
        page.locator(part).first.wait_for()
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    page.locator(".tall table").first.wait_for()


def press(button: str, then: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        page.get_by_role("button", name=button, exact=True).click()
        page.locator(then).first.wait_for()

    return act


# By page, what shows more of it.
MORE: dict[str, Callable[[Page], None]] = {
    "/ui/sign-in": refuse_a_key,
    "/ui/jobs/new?kind=train": refuse_a_value,
    "/ui/jobs/new?kind=prepare": press("Submit", ".field-error:not([hidden]), #problem:not([hidden])"),
    "/ui/jobs/TRAINED": unfold,
    "/ui/models/ctr": press("Promote 1…", "dialog[open]"),
    "/ui/score": press("Score", "#answer table"),
}
FORMS: tuple[tuple[Any, int], ...] = (("light", 1280), ("dark", 360), ("dark", 3840))


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
    too_wide = []
    with browser.new_context(color_scheme=theme, viewport={"width": width, "height": 900}) as context:
        page = world.sign_in(context)
        for path, filled in PAGES.items():
            page.goto(f"{world.url}{path.replace('SWEEP', world.sweep_id).replace('TRAINED', world.trained_id)}")
            page.locator(filled).first.wait_for()
            found |= violations(page, path)
            if path in MORE:
                MORE[path](page)
                found |= violations(page, f"{path}, more of it")
            if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
                too_wide.append(path)
    assert found == {}
    assert too_wide == []
