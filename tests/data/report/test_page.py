"""The page is one well-formed file that loads nothing, runs nothing and shows data as text."""

import base64
import re
from html.parser import HTMLParser

import pytest

from ctrfast.data.report import inspect_dataset
from ctrfast.data.report.contents import DataWarning
from ctrfast.data.report.page import _TITLES, page
from ctrfast.data.report.warnings import __doc__ as told
from ctrfast.data.report.warnings import find_warnings
from tests.data.report.conftest import TIMELINE, by_split, id_field, make_report, numeric_field

VOID = {"meta", "img", "source"}
EVIL = '<script>alert("1")</script>'


class Reader(HTMLParser):
    """Collects tags and their attributes; fails where they do not nest."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def count(self, name):
        return sum(tag == name for tag, _ in self.tags)


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def criteo(dataset):
    return page(inspect_dataset(dataset))


def test_nothing_is_loaded_and_nothing_runs(criteo):
    reader = read(criteo)
    names = {tag for tag, _ in reader.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "form", "base", "a"}
    for tag, attributes in reader.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "srcset"):
            assert attributes.get(name, "data:").startswith("data:"), tag
    outside = re.sub(r"data:image/svg\+xml;base64,[A-Za-z0-9+/=]+", "", criteo)
    assert "://" not in outside
    assert "@import" not in outside
    assert "url(" not in outside
    for picture in re.findall(r"base64,([A-Za-z0-9+/=]+)", criteo):
        svg = base64.b64decode(picture).decode()
        assert not re.findall(r'href="(?!#)', svg)
        assert not re.findall(r"url\((?!#)", svg)


def test_both_themes_and_narrow_screens(criteo):
    assert "prefers-color-scheme:dark" in criteo
    assert 'content="width=device-width, initial-scale=1"' in criteo
    reader = read(criteo)
    sources = [attributes for tag, attributes in reader.tags if tag == "source"]
    assert len(sources) == reader.count("img") == reader.count("figure") == 5
    assert {attributes["media"] for attributes in sources} == {"(prefers-color-scheme: dark)"}


def test_each_picture_has_words_and_a_table_beneath_it(criteo):
    reader = read(criteo)
    assert all(attributes["alt"] for tag, attributes in reader.tags if tag == "img")
    figures = re.findall(r"<figure.*?</figure>", criteo, re.DOTALL)
    assert len(figures) == 5
    for figure in figures:
        assert figure.index("<figcaption>") < figure.index("<table>")
    assert reader.count("caption") == reader.count("table")
    assert all("scope" in attributes for tag, attributes in reader.tags if tag == "th")


def test_what_it_tells(criteo, dataset):
    words = "".join(read(criteo).text)
    assert "criteo" in words
    assert "4,200" in words
    assert dataset.hash in words
    for name in (*dataset.fitted.schema_.numeric_names, *dataset.fitted.schema_.id_names):
        assert name in words


def test_the_same_report_gives_the_same_page(dataset, criteo):
    assert page(inspect_dataset(dataset)) == criteo


def test_whatever_comes_from_data_is_text():
    point = TIMELINE[0].model_copy(update={"start": EVIL})
    field = id_field(EVIL, 1, top_value=EVIL + '" onload="x', psi={"valid": 9.0, "test": 9.0}, label_auc=0.99)
    report = make_report(
        id_fields=[field],
        numeric_fields=[numeric_field(EVIL, constant=True)],
        rejected={EVIL: 9_000},
        timeline=(point, *TIMELINE),
        repeated={EVIL[:4]: make_report().repeated["test"]},
        rows={**make_report().rows, EVIL[:4]: 1},
    )
    report = report.model_copy(update={"warnings": find_warnings(report), "schema_name": EVIL})
    html = page(report)
    reader = read(html)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    assert "<script" not in html.lower()
    assert html.count("&lt;script&gt;") > 10


def test_warnings_of_one_kind_share_their_remedy():
    fields = [id_field(name, unseen_share={**by_split(0.5), "train": 0.0}) for name in ("a", "b")]
    report = make_report(id_fields=fields)
    report = report.model_copy(update={"warnings": find_warnings(report)})
    html = page(report)
    assert "Warnings (2)" in html
    assert html.count("later vocabulary") == 1
    assert "<h2>Warnings</h2><p>None.</p>" in page(make_report())


def test_every_warning_has_a_title():
    assert set(_TITLES) == set(re.findall(r"`([a-z_]+)`", told.partition("find_warnings")[0]))
    warnings = tuple(DataWarning(code=code, field=None, what="X.", figure=0, remedy="Y.") for code in _TITLES)
    assert f"Warnings ({len(warnings)})" in page(make_report(warnings=warnings))


def test_a_dataset_of_ids_alone_with_no_rows_to_test_on():
    rows = {"train": 100, "valid": 0, "test": 0}
    field = id_field("a", psi={}, psi_chance={})
    report = make_report(rows=rows, id_fields=[field], numeric_fields=[])
    words = "".join(read(page(report)).text)
    assert "Drift" not in words
    assert "Numeric fields" not in words
    assert "unseen valid" not in words


def test_capped_rows_are_told():
    capped = make_report().repeated["test"].model_copy(update={"capped": True})
    assert "the first" in page(make_report(repeated={"test": capped}))
    assert "the first" not in page(make_report())
