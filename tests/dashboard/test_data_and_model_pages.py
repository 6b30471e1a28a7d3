"""The pages of datasets, sweeps, models and scores, in a browser and against what the REST routes answer a script."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.dashboard.conftest import HTML
from tests.dashboard.published_world import HOSTILE, KEY_NAME, REFUSED, World

PAGES = (
    "/ui/datasets",
    "/ui/datasets/small",
    "/ui/sweeps",
    "/ui/sweeps/SWEEP",
    "/ui/models",
    "/ui/models/ctr",
    "/ui/score",
)


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    """A signed-in browser that allows no error in a script, no dialog of one, and no other host."""
    with browser.new_context() as context:
        page = world.sign_in(context)
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: wrong.append(request.url) if not _is_own(request.url, world) else None)
        yield page
        assert wrong == []


def _is_own(url: str, world: World) -> bool:
    return url.startswith((f"{world.url}/", "blob:"))


def open_page(page: Page, world: World, path: str) -> None:
    page.goto(f"{world.url}{path}")


def rows_of(page: Page, caption: str | re.Pattern[str]) -> list[list[str]]:
    """The body of the table with a caption, as texts, once it is there."""
    table = page.locator("table", has=page.locator("caption", has_text=caption))
    table.locator("tbody tr").first.wait_for(state="attached")
    texts: list[list[str]] = table.evaluate(
        "t => [...t.tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent))"
    )
    return texts


def saved(page: Page, button: str) -> list[dict[str, str]]:
    """The rows of the CSV file that a button saves."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    with Path(download.value.path()).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def signed_in(world: World) -> Iterator[httpx.Client]:
    """What asks for frames as a browser does, without running them."""
    with httpx.Client(base_url=world.url, headers=HTML, timeout=120) as client:
        assert client.post("/ui/sign-in", data={"key": world.key}).status_code == 303
        yield client


@pytest.mark.parametrize("path", PAGES)
def test_a_frame_loads_from_this_service_alone(signed_in: httpx.Client, world: World, path: str) -> None:
    answer = signed_in.get(path.replace("SWEEP", world.sweep_id))
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    for forbidden in ("http://", "https://", "<style", "style=", "<script>"):
        assert forbidden not in answer.text


@pytest.mark.parametrize("place", ["datasets", "sweeps", "models"])
def test_what_is_not_there(page: Page, world: World, place: str) -> None:
    open_page(page, world, f"/ui/{place}/{quote(HOSTILE)}")
    expect(page.locator("h1")).to_contain_text(HOSTILE)
    expect(page.get_by_role("alert")).to_contain_text("no ")


def test_a_reader_is_shown_nothing_that_changes(browser: Browser, world: World) -> None:
    with browser.new_context() as context:
        page = world.sign_in(context, world.reader)
        open_page(page, world, "/ui/models/ctr")
        assert rows_of(page, "Versions, newest first")
        expect(page.locator("#move, #point")).to_have_count(0)
        expect(page.get_by_role("button", name="Promote")).to_have_count(0)
        expect(page.get_by_role("button", name="Roll")).to_have_count(0)


def test_promote_score_and_roll_back(page: Page, world: World) -> None:
    open_page(page, world, "/ui/models")
    assert rows_of(page, re.compile("^1 model$"))[0][:3] == ["ctr", "3", "2"]
    page.get_by_role("link", name="ctr", exact=True).click()
    page.get_by_role("button", name="Promote 1…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Move latest of ctr from version 2 to version 1?")
    dialog.get_by_role("button", name="Leave it").click()
    assert world.get("/v1/models/ctr")["aliases"] == {"latest": 2}

    page.get_by_role("button", name="Promote 1…").click()
    dialog.get_by_role("button", name="Move from 2 to 1").click()
    expect(page.locator("#status")).to_have_text("latest points at version 1.")
    assert world.get("/v1/models/ctr")["aliases"] == {"latest": 1}
    newest = rows_of(page, "Moves of aliases")[0]
    assert newest[1:] == ["latest", "2 to 1", f"key {KEY_NAME} ({world.key.partition('.')[0]})"]

    open_page(page, world, "/ui/score?model=ctr&beside=2")
    expect(page.get_by_label("Version", exact=True)).to_have_value("1")
    impression = page.get_by_label("Impression")
    expect(impression).to_have_value(empty_row(world))
    impression.fill('{"C1": ')
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.locator("#row-error")).to_contain_text("cannot be read as JSON")
    impression.fill('{"C0": 1}')
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.locator("#row-error")).to_contain_text("C0")
    row = {"I1": 3, "C1": HOSTILE, "C2": None}
    impression.fill(json.dumps(row))
    page.get_by_role("button", name="Score", exact=True).click()
    scores = rows_of(page, "Scores")
    body: dict[str, Any] = {"model": "ctr", "version": 1, "context": row, "candidates": [{}]}
    told = world.api.client.post("/v1/score", json=body).json()["scores"][0]
    expected = [f"{100 * told[name]:.3f} %" for name in ("probability", "calibrated")]
    assert scores[0] == ["1", *expected, "C1", "37 of 39"]
    assert [of[0] for of in scores] == ["1", "2"]
    fields = {of[0]: of[1:] for of in rows_of(page, "Fields")}
    assert fields["C1"][0] == HOSTILE
    assert fields["C1"][1].startswith("unseen id 0, row 0")
    assert fields["C2"][1].startswith("missing id 1")
    assert fields["I1"][1].startswith("3 →")

    open_page(page, world, "/ui/models/ctr")
    page.get_by_role("button", name="Roll latest back to 2…").click()
    expect(dialog).to_contain_text("from version 1 to version 2?")
    dialog.get_by_role("button", name="Move from 1 to 2").click()
    expect(page.locator("#status")).to_have_text("latest points at version 2.")
    assert world.get("/v1/models/ctr")["aliases"] == {"latest": 2}


def empty_row(world: World) -> str:
    """What the field holds at first: all columns, without values."""
    metadata = world.get("/v1/models/ctr/versions/1/metadata")["metadata"]
    columns = metadata["signature_def"]["signature_def"]["serving_default"]["inputs"]
    return json.dumps(dict.fromkeys(columns), indent=1)


def test_a_refused_version_needs_a_word_more(page: Page, world: World) -> None:
    open_page(page, world, "/ui/models/ctr?version=3")
    page.get_by_role("button", name="Promote 3…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(REFUSED)  # markup in it is text
    dialog.get_by_role("button", name="Move from 2 to 3").click()
    expect(dialog.get_by_role("alert")).to_contain_text("gates")
    dialog.get_by_role("checkbox").check()
    dialog.get_by_role("button", name="Move from 2 to 3").click()
    expect(page.locator("#status")).to_have_text("latest points at version 3.")
    put = {"version": 2}
    assert world.api.client.put("/v1/models/ctr/aliases/latest", json=put).status_code == 200


def test_an_alias_that_has_moved_meanwhile(page: Page, world: World) -> None:
    open_page(page, world, "/ui/models/ctr")
    page.get_by_role("button", name="Promote 1…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for version in (3, 2):  # somebody else was quicker, and came back
        body = {"version": version, "force": True}
        assert world.api.client.put("/v1/models/ctr/aliases/latest", json=body).status_code == 200
    dialog.get_by_role("button", name="Move from 2 to 1").click()
    expect(dialog.get_by_role("alert")).to_contain_text("latest")
    assert world.get("/v1/models/ctr")["aliases"]["latest"] == 2


def test_a_new_alias(page: Page, world: World) -> None:
    open_page(page, world, "/ui/models/ctr")
    page.get_by_label("Alias", exact=True).fill("stable")
    page.get_by_label("Version", exact=True).select_option("1")
    page.get_by_role("button", name="Point it there…").click()
    page.get_by_role("dialog").get_by_role("button", name="Point it at 1").click()
    expect(page.locator("#status")).to_have_text("stable points at version 1.")
    assert world.get("/v1/models/ctr/aliases/stable")["version"] == 1


def test_calibration_of_a_version(page: Page, world: World) -> None:
    open_page(page, world, "/ui/models/ctr?version=2")
    told = world.get("/v1/models/ctr/versions/2/calibration")
    expect(page.locator("#calibration-note")).to_contain_text(told["reason"])
    found = saved(page, "Click rate predicted and seen, test rows: CSV")
    seen = [float(row["before"]) for row in found if row["before"]]
    assert seen == [of["seen"] for of in told["before"]]
    assert [float(row["before, high"]) for row in found if row["before"]] == [of["high"] for of in told["before"]]
    open_page(page, world, "/ui/models/ctr?version=3")
    expect(page.locator("#calibration-note")).to_contain_text("not on this server")


def test_the_data_report(page: Page, world: World) -> None:
    open_page(page, world, "/ui/datasets")
    assert rows_of(page, re.compile("^1 dataset$"))[0][2:5] == ["4,200", "600", "1,200"]
    page.get_by_role("link", name="small").click()
    fields = rows_of(page, "Id fields")
    report = world.get("/v1/datasets/small/report")
    assert [row[0] for row in fields] == [field["name"] for field in report["id_fields"]]
    expect(page.get_by_role("heading", name=f"Warnings ({len(report['warnings'])})")).to_be_visible()
    drift = {row["field"]: row for row in saved(page, "Population stability index: CSV")}
    for field in (*report["numeric_fields"], *report["id_fields"]):
        assert float(drift[field["name"]]["train to test"]) == field["psi"]["test"]
    rates = saved(page, "Label rate over the order of rows: CSV")
    slices = report["label_slices"]["train"]
    expected = [of["positives"] / of["rows"] for of in slices]
    assert [float(row["train"]) for row in rates if row["train"]] == expected


def test_a_sweep(page: Page, world: World) -> None:
    open_page(page, world, "/ui/sweeps")
    assert rows_of(page, "Sweeps, newest first")[0][:4] == [world.sweep_id, "succeeded", "100 %", "8 succeeded"]
    page.get_by_role("link", name=world.sweep_id).click()
    groups = rows_of(page, "Mean ± sample standard deviation over seeds")
    report = world.get(f"/v1/jobs/{world.sweep_id}/report")
    assert [row[:3] for row in groups] == [[*map(str, group["settings"].values()), "2"] for group in report["groups"]]
    lines = saved(page, "test AUC against batch size: CSV")
    for group in report["groups"]:
        rule, size = group["settings"].values()
        (row,) = [row for row in lines if row["batch size (rows)"] == str(size)]
        of = group["figures"]["test_auc"]
        low, mean, high = (float(row[title]) for title in (f"{rule}, low", rule, f"{rule}, high"))
        assert mean == pytest.approx(of["mean"], abs=1e-12)
        assert (high - low) / 2 == pytest.approx(of["sd"], abs=1e-12)
    changes = saved(page, "Change of test AUC from the smallest batch: CSV")
    (published,) = [title for title in changes[0] if title.startswith("published: deepfm, cowclip, all of criteo")]
    assert float(changes[-1][published]) == pytest.approx(0.8090 - 0.8086)
    assert len(rows_of(page, "Runs")) == 8
    best = report["best"]["job"]
    expect(page.locator("#facts").get_by_role("link", name=best)).to_have_attribute("href", f"/ui/jobs/{best}")
    open_page(page, world, f"/ui/jobs/{world.sweep_id}")
    figures = page.get_by_role("link", name="by batch size")
    expect(figures).to_have_attribute("href", f"/ui/sweeps/{world.sweep_id}")
