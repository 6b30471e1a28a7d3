"""The pages in a headless Chromium, against an API over HTTP and a pretended worker: what a reader sees and presses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from service.assignments import LOG
from service.leases import Report
from service.options import JobOptions
from service.states import Kind
from tests.dashboard.conftest import HOSTILE, Guarded
from tests.service.conftest import Api, quick_settings

SPEC = {"dataset": "clicks", "batch_size": 512}
RECORD = {"epoch": 0, "loss": 0.5, "rows_per_s": 12_345.0, "clipped_share": 0.25, "clipped_share.C1": 0.5}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser of its own; nothing may go wrong in it, and it may ask nobody else."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    hosts: set[str] = set()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console", lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None
    )
    page.on("request", lambda request: hosts.add(re.sub(r"^(\w+:(//[^:/]+)?).*$", r"\1", request.url)))
    yield page
    context.close()
    assert wrong == []
    assert hosts <= {"http://127.0.0.1", "blob:"}


def test_signing_in_and_out(guarded: Guarded, page: Page) -> None:
    page.goto(f"{guarded.url}/ui/jobs?kind=train")
    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    page.get_by_label("API key").fill(guarded.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    expect(page).to_have_url(f"{guarded.url}/ui/jobs?kind=train")
    expect(page.get_by_label("Kind")).to_have_value("train")
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(f"{guarded.url}/ui/jobs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280, 2100, 3840])
def test_the_header_stands_over_the_column(guarded: Guarded, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{guarded.url}/ui/jobs")
    heading, brand = page.locator("h1").bounding_box(), page.locator(".brand").bounding_box()
    assert heading is not None
    assert brand is not None
    assert brand["x"] == pytest.approx(heading["x"], abs=0.5)
    inner = "element => element.getBoundingClientRect().right - parseFloat(getComputedStyle(element).paddingRight)"
    ends = [page.locator(name).evaluate(inner) for name in (".top", "main")]
    assert ends[0] == pytest.approx(ends[1], abs=0.5)


def test_the_list_filters_pages_and_stays_fresh(make_api: Callable[..., Api], page: Page) -> None:
    api = make_api()
    jobs = api.services.jobs
    for number in range(53):
        jobs.enqueue(Kind.TRAIN, SPEC, options=JobOptions(labels={"night": str(number % 2)}))
    hostile = jobs.enqueue(Kind.SCORE, {"model": HOSTILE}, options=JobOptions(labels={"by": HOSTILE}))
    page.goto(f"{api.url}/ui/jobs")
    rows = page.locator("#jobs tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text(HOSTILE)
    expect(page).to_have_title("Jobs · ctrfast")
    page.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(4)
    page.get_by_role("link", name="Newest").click()
    page.get_by_label("Label").fill("night=1")
    page.get_by_role("button", name="Filter").click()
    expect(rows).to_have_count(26)
    page.get_by_label("Kind").select_option("sweep")
    expect(page.locator("#empty")).to_contain_text("No job matches")
    page.get_by_label("Label").fill("nonsense")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("alert")).to_contain_text("must read key=value")
    page.get_by_role("link", name="Show all").click()
    expect(rows.first.locator(".state")).to_have_text("queued")
    jobs.cancel(hostile.id)
    expect(rows.first.locator(".state")).to_have_text("cancelled")


def test_a_job_as_it_runs_through_a_restart_of_the_api(make_api: Callable[..., Api], page: Page) -> None:
    api = make_api()
    job_id = api.services.jobs.enqueue(Kind.TRAIN, SPEC).id
    lease = api.services.leases.claim("w")
    assert lease is not None
    log = api.services.settings.job_folder(job_id) / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(f"first line\n{HOSTILE}\n")
    api.services.leases.renew(lease, Report(progress=0.1, records=[{"step": 1, **RECORD}], warnings=[HOSTILE]))
    page.goto(f"{api.url}/ui/jobs/{job_id}")
    loss = page.get_by_role("img", name=re.compile("^Loss: "))
    expect(loss).to_have_attribute("aria-label", "Loss: 1 point. Last: training 0.5.")
    expect(page.locator("#stream")).to_have_text("live")
    for text in ("first line", HOSTILE):
        expect(page.locator("#log")).to_contain_text(text)
    expect(page.locator("#events")).to_contain_text(HOSTILE)
    api.services.leases.renew(
        lease, Report(progress=0.2, eta_s=90.0, records=[{"step": 2, **RECORD, "loss": 0.25}], lines=["second line"])
    )
    expect(loss).to_have_attribute("aria-label", "Loss: 2 points. Last: training 0.25.")
    expect(page.locator("#progress")).to_contain_text("20 %, 1 min 30 s to go")
    api.close()
    expect(page.locator("#stream")).to_contain_text("trying again")
    meanwhile = [{"step": step, **RECORD, "epoch": 1} for step in (3, 4)]
    api.services.leases.renew(lease, Report(progress=0.4, records=meanwhile))
    make_api(port=int(api.url.rsplit(":", 1)[1]))
    expect(loss).to_have_attribute("aria-label", "Loss: 4 points. Last: training 0.5.")
    expect(page.locator("#stream")).to_have_text("live")
    api.services.leases.succeed(lease, {"test_auc": 0.75}, lambda _: {"outputs": [HOSTILE]})
    expect(page.locator("#state")).to_contain_text("succeeded")
    expect(page.locator("#events tr").last).to_contain_text("succeeded")
    expect(page).to_have_title(re.compile("^succeeded"))


def test_the_values_behind_a_chart(make_api: Callable[..., Api], page: Page) -> None:
    api = make_api()
    job_id = api.services.jobs.enqueue(Kind.TRAIN, SPEC).id
    lease = api.services.leases.claim("w")
    assert lease is not None
    records = [{"step": step, **RECORD, "loss": 1 / step} for step in range(1, 5)]
    api.services.leases.renew(lease, Report(records=[*records, {"step": 5, "loss": None}]))
    page.goto(f"{api.url}/ui/jobs/{job_id}")
    chart = page.locator(".chart").filter(has=page.get_by_role("heading", name="Loss"))
    chart.get_by_text("Values as a table").click()
    expect(chart.locator(".tall tr")).to_have_text(["steptraining", "11", "20.5", "30.33333", "40.25", "5–"])
    with page.expect_download() as saved:
        chart.get_by_role("button", name="CSV").click()
    assert saved.value.suggested_filename == f"{job_id}-loss.csv"
    assert saved.value.path().read_text() == "step,training\n1,1\n2,0.5\n3,0.3333333333333333\n4,0.25\n5,\n"
    with page.expect_download() as saved:
        chart.get_by_role("button", name="PNG").click()
    assert saved.value.path().read_bytes().startswith(b"\x89PNG")
    clipped = page.locator(".panel").filter(has=page.get_by_role("heading", name="clipped"))
    clipped.get_by_label("Field", exact=True).select_option("C1")
    expect(clipped.get_by_role("img")).to_have_attribute("aria-label", re.compile("all fields 25.00 %, C1 50.00 %"))


def test_buttons_follow_the_state(make_api: Callable[..., Api], page: Page) -> None:
    api = make_api()
    job_id = api.services.jobs.enqueue(Kind.TRAIN, SPEC).id
    page.goto(f"{api.url}/ui/jobs/{job_id}")
    buttons = page.locator("#actions button")
    expect(buttons).to_have_text(["Pause", "Cancel"])
    buttons.first.focus()
    page.keyboard.press("Enter")
    expect(buttons).to_have_text(["Resume", "Cancel"])
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state")).to_contain_text("queued")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Cancel").click()
    expect(buttons).to_have_text(["Pause", "Cancel"])
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(buttons).to_have_text(["Retry"])
    page.get_by_role("button", name="Retry").click()
    expect(buttons).to_have_text(["Pause", "Cancel"])
    api.services.jobs.cancel(job_id)  # somebody else
    expect(buttons).to_have_text(["Retry"])


def test_a_log_is_searched_and_followed(make_api: Callable[..., Api], page: Page) -> None:
    api = make_api()
    job_id = api.services.jobs.enqueue(Kind.TRAIN, SPEC).id
    log = api.services.settings.job_folder(job_id) / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(f"line {number}\n" for number in range(6000)))
    page.goto(f"{api.url}/ui/jobs/{job_id}")
    expect(page.locator("#log-note")).to_have_text("5,000 lines. The first 1,000 are in the download.")
    page.wait_for_function(
        "(log => log.scrollTop + log.clientHeight > log.scrollHeight - 5)(document.getElementById('log'))"
    )
    page.get_by_label("Search").fill("LINE 4321")
    expect(page.locator("#log")).to_have_text("line 4321")
    page.get_by_label("Search").fill("nowhere")
    expect(page.locator("#log")).to_have_text("No line holds this text.")


def test_a_training_by_the_form(data_home: Path, page: Page) -> None:
    api = Api(quick_settings(data_home))
    try:
        api.services.datasets.register("clicks", data_home / "data" / "prepared")
        page.goto(f"{api.url}/ui/jobs/new")
        expect(page.get_by_label("dataset", exact=True)).to_have_value("clicks")
        expect(page.locator("#plan")).to_contain_text("lr_dense")
        page.get_by_label("batch_size", exact=True).fill("many")
        expect(page.get_by_label("batch_size", exact=True)).to_have_attribute("aria-invalid", "true")
        expect(page.locator("[id='setting-batch_size-error']")).to_contain_text("batch_size")
        page.get_by_label("batch_size", exact=True).fill("512")
        expect(page.get_by_label("batch_size", exact=True)).not_to_have_attribute("aria-invalid", "true")
        expect(page.locator("#estimates")).to_contain_text("Steps per epoch")
        hidden, layers = page.locator("[id='setting-model.hidden']"), page.locator("[id='setting-model.cross_layers']")
        expect(hidden).to_be_visible()
        expect(layers).not_to_be_visible()  # deepfm has none
        hidden.fill("16, 8")
        page.locator("[id='setting-model.name']").select_option("dcn")
        expect(layers).to_be_visible()
        page.get_by_text("Queue and labels").click()
        page.get_by_label("labels").fill("bad key=1")
        page.get_by_role("button", name="Submit").click()
        expect(page.locator("#labels-error")).to_contain_text("labels")
        page.get_by_label("labels").fill(f"by={HOSTILE}")
        page.get_by_role("button", name="Submit").click()
        expect(page.locator("#state")).to_contain_text("queued")
        expect(page.locator("#facts")).to_contain_text(HOSTILE)
        (job,) = api.services.jobs.page(state=None, kind=None, limit=10, cursor=None).jobs
        assert job.spec == {"dataset": "clicks", "batch_size": 512, "model": {"name": "dcn", "hidden": [16, 8]}}
        page.get_by_role("link", name="Clone with changes").click()
        expect(page.locator("#from")).to_contain_text(f"With the settings of job {job.id}.")
        expect(page.locator("[id='setting-model.hidden']")).to_have_value("16, 8")
        expect(page.get_by_label("labels")).to_have_value(f"by={HOSTILE}")
    finally:
        api.close()


def test_a_key_that_may_only_read(guarded: Guarded, page: Page) -> None:
    job_id = guarded.services.jobs.enqueue(Kind.TRAIN, SPEC).id
    page.goto(f"{guarded.url}/ui/jobs/{job_id}")
    page.get_by_label("API key").fill(guarded.reader)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#state")).to_contain_text("queued")
    assert page.locator("#actions").count() == 0
    expect(page.locator("#plan-problem")).to_contain_text("jobs:write")
    guarded.services.keys.revoke(guarded.reader.partition(".")[0])
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
