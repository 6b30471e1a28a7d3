"""Charts in a browser: a legend that is read without colours, and pictures with all that belongs to them."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from service.leases import Report
from service.pages.assets import assets
from service.states import Kind
from tests.service.conftest import Api

FIELDS = [f"C{number}" for number in range(1, 7)]
LINES = ["all fields", *FIELDS]  # one more than there are colours
SIGNS = """signs => signs.map(sign => {
  const {data} = sign.getContext('2d').getImageData(0, 0, sign.width, sign.height);
  return [...data].filter((_, place) => place % 4 === 3).map(alpha => (alpha > 127 ? 1 : 0)).join('');
})"""
# A picture's size, and how many pixels of each colour its rows from `top` to `bottom` (below 0: from the end) have.
READ = """async ([base64, colours, top, bottom]) => {
  const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], {type: 'image/png'}));
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const ctx = canvas.getContext('2d');
  ctx.drawImage(picture, 0, 0);
  const [first, last] = [top, bottom].map(row => (row < 0 ? picture.height + row : row));
  const {data} = ctx.getImageData(0, first, picture.width, last - first);
  const counts = {};
  for (let at = 0; at < data.length; at += 4) {
    const hex = '#' + [0, 1, 2].map(part => data[at + part].toString(16).padStart(2, '0')).join('');
    counts[hex] = (counts[hex] ?? 0) + 1;
  }
  return {width: picture.width, height: picture.height, counts: colours.map(colour => counts[colour] ?? 0)};
}"""

# Notes each text that is drawn: the text, its ends, the canvas's width, and whether it was squeezed.
NOTE = """window.texts = [];
const fillText = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y, most) {
  const {width} = this.measureText(text);
  const before = {left: 0, center: width / 2, right: width}[this.textAlign] ?? 0;
  const at = x + this.getTransform().e - before;
  const isUpright = this.getTransform().b === 0;
  if (isUpright) window.texts.push([text, at, at + width, this.canvas.width, most < width]);
  return most === undefined ? fillText.call(this, text, x, y) : fillText.call(this, text, x, y, most);
};"""
DRAW = """async ([address, signs, title, label]) => {
  const [{pictureOf}, {signOf}] = [await import(address), await import(signs)];
  const plot = Object.assign(document.createElement('canvas'), {width: 200, height: 50});
  window.texts = [];
  return pictureOf(title, plot, [{label, sign: signOf(0)}]).height;
}"""


@pytest.fixture(params=["light", "dark"])
def chart(request: pytest.FixtureRequest, make_api: Callable[..., Api], browser: Browser) -> Iterator[Locator]:
    """The chart of clipped shares of a job, with a line for each of `LINES`."""
    api = make_api()
    job_id = api.services.jobs.enqueue(Kind.TRAIN, {"dataset": "clicks", "batch_size": 512}).id
    lease = api.services.leases.claim("w")
    assert lease is not None
    shares = {f"clipped_share.{name}": 0.1 * place for place, name in enumerate(FIELDS, 1)}
    records = [{"step": step, "clipped_share": 0.05, **shares} for step in range(1, 5)]
    api.services.leases.renew(lease, Report(records=records))
    with browser.new_context(color_scheme=request.param, viewport={"width": 700, "height": 900}) as context:
        page = context.new_page()
        page.goto(f"{api.url}/ui/jobs/{job_id}")
        chart = page.locator(".chart").filter(has=page.get_by_role("heading", name="clipped"))
        expect(chart.locator(".sign")).to_have_count(len(LINES))
        yield chart


def picture(chart: Locator, colours: list[str], top: int, bottom: int) -> Any:
    """What `READ` says of the picture that the chart's button saves."""
    with chart.page.expect_download() as saved:
        chart.get_by_role("button", name="PNG").click()
    content = Path(saved.value.path()).read_bytes()
    return chart.page.evaluate(READ, [base64.b64encode(content).decode(), colours, top, bottom])


def colour(page: Page, name: str) -> str:
    value: str = page.evaluate(
        f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim().toLowerCase()"
    )
    return value


def test_signs_of_lines_differ_without_colour(chart: Locator) -> None:
    labels = chart.locator(".u-legend .u-series").filter(has=chart.page.locator(".sign")).locator(".u-label")
    expect(labels).to_have_text(LINES)
    signs = chart.locator(".sign").evaluate_all(SIGNS)
    for (one, first), (other, second) in itertools.combinations(zip(LINES, signs, strict=True), 2):
        assert sum(a != b for a, b in zip(first, second, strict=True)) >= 40, f"{one} and {other} look the same"


def test_a_picture_has_title_and_legend(chart: Locator) -> None:
    page = chart.page
    bare = chart.locator("canvas").first.evaluate("canvas => [canvas.width, canvas.height]")
    lines = [colour(page, f"line-{place}") for place in range(1, 7)]
    title = picture(chart, [colour(page, "text"), colour(page, "ground")], 0, 32)
    assert title["width"] == bare[0]
    rows = title["height"] - bare[1] - 32 - 8  # of the legend, which has 24 pixels to a row
    assert rows >= 2 * 24, "seven lines need more than one row at this width"
    assert rows % 24 == 0
    assert title["counts"][0] > 100
    assert title["counts"][1] > 0.8 * 32 * bare[0]  # the ground is there, not transparency
    legend = picture(chart, lines, -rows - 8, -1)
    assert min(legend["counts"]) > 20
    chart.locator(".u-legend .u-label", has_text=FIELDS[1]).click()  # hides the third line
    less = picture(chart, lines, -rows - 8, -1)
    assert less["counts"][2] == 0
    assert less["counts"][1] == legend["counts"][1]


def test_no_label_is_cut_at_an_edge_and_no_text_of_a_picture_is_squeezed(
    make_api: Callable[..., Api], browser: Browser
) -> None:
    api = make_api()
    job_id = api.services.jobs.enqueue(Kind.TRAIN, {"dataset": "clicks", "batch_size": 512}).id
    lease = api.services.leases.claim("w")
    assert lease is not None
    last = 7_000_000
    records = [{"epoch": step // last, "step": step, "loss": 0.5} for step in range(1_000_000, last + 1, 1_000_000)]
    api.services.leases.renew(lease, Report(records=records))
    with browser.new_context(viewport={"width": 700, "height": 900}) as context:
        page = context.new_page()
        page.add_init_script(NOTE)
        page.goto(f"{api.url}/ui/jobs/{job_id}")
        expect(page.locator('[role=img][aria-label^="Loss: 7 points"] canvas').first).to_be_visible()
        drawn = page.evaluate("texts")
        assert {"epoch 1", "epoch 2", "7,000,000"} <= {text for text, *_ in drawn}  # the second at the right edge
        assert [text for text, left, right, width, _ in drawn if left < 0 or right > width] == []

        title, label = "Share of rows whose gradient was clipped, anhyperdimensionallylongword", "a field " * 9
        addresses = [assets().address(name) for name in ("chart_picture.js", "chart_signs.js")]
        height = page.evaluate(DRAW, [*addresses, title, label.strip()])
        *lines, entry = page.evaluate("texts")
        words = " ".join(text for text, *_ in lines)
        assert words.startswith("Share of rows whose gradient was clipped, anhyper") and words.endswith("…")
        assert label.startswith(entry[0].removesuffix("…")) and entry[0].endswith("…")
        assert [text for text, _, right, width, is_squeezed in (*lines, entry) if right > width or is_squeezed] == []
        assert height == 32 + 20 * (len(lines) - 1) + 50 + 24 + 8
