import xml.etree.ElementTree as ElementTree

import pytest

from ctrfast.data.report.contents import RateSlice
from ctrfast.data.report.inspection import inspect_dataset
from ctrfast.data.report.pictures import draw_pictures, joined
from tests.data.report.conftest import ROWS, TIMELINE, by_split, id_field, make_report, numeric_field

ODD = ["_under", "$x^{$", "\\frac", "a\nb", "<script>", "\u5e7f\u544a", "x" * 128, "100%", "a&b", "{0}"]


def is_svg(content: bytes) -> bool:
    return ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"


def test_all_pictures_in_two_themes():
    pictures = draw_pictures(make_report(timeline=TIMELINE))
    assert set(pictures) == {"slices", "frequencies", "largest", "timeline", "unseen", "drift"}
    for name, picture in pictures.items():
        assert is_svg(picture.light), name
        assert is_svg(picture.dark), name
        assert picture.light != picture.dark
        assert picture.alt.endswith(".")
        assert b"fill: #ffffff" not in picture.light  # the ground is the page's


def test_the_same_report_gives_the_same_bytes(dataset):
    report = inspect_dataset(dataset)
    assert draw_pictures(report) == draw_pictures(report)


def test_names_are_shown_as_they_are():
    fields = [id_field(name, 100 - place) for place, name in enumerate(ODD)]
    report = make_report(id_fields=fields, numeric_fields=[numeric_field("$\\frac$")])
    pictures = draw_pictures(report)
    assert is_svg(pictures["drift"].light)
    assert is_svg(pictures["frequencies"].light)


def test_what_has_no_figures_is_left_out():
    rows = {"train": ROWS["train"], "valid": 0, "test": 0}
    empty = id_field("a", 0, psi={}, psi_chance={}, frequencies=(), top_value=None)
    slices = {**make_report().label_slices, "valid": (), "test": ()}
    report = make_report(rows=rows, id_fields=[empty], numeric_fields=[], label_slices=slices)
    assert set(draw_pictures(report)) == {"slices", "frequencies", "largest"}


def test_a_time_without_rows_and_a_drift_without_bound():
    quiet = TIMELINE[0].model_copy(update={"rows": 0, "positives": 0})
    wild = id_field("a", psi={"valid": 0.0, "test": 37.0}, unseen_share=by_split(1.0))
    pictures = draw_pictures(make_report(timeline=(quiet, *TIMELINE), id_fields=[wild]))
    assert is_svg(pictures["timeline"].light)
    assert is_svg(pictures["drift"].light)


def slices(count, rows):
    return tuple(RateSlice(first_row=at * rows, rows=rows, positives=at) for at in range(count))


@pytest.mark.parametrize(("rows", "points"), [(1000, 50), (100, 10), (20, 5), (1, 5)])
def test_slices_of_few_rows_are_joined(rows, points):
    shown = joined(slices(50, rows))
    assert len(shown) == points
    assert [part.rows for part in shown] == [50 * rows // points] * points
    assert sum(part.positives for part in shown) == sum(range(50))
    assert [part.first_row for part in shown] == [at * (50 * rows // points) for at in range(points)]


def test_a_handful_of_rows():
    assert joined(slices(3, 1)) == list(slices(3, 1))


def test_where_nothing_is_unseen_there_is_no_picture_of_it():
    pictures = draw_pictures(make_report(id_fields=[id_field("a", unseen_share=by_split(0.0))]))
    assert "unseen" not in pictures
    assert "drift" in pictures
