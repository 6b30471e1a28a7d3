"""Each warning once provoked and once absent: the calm report has none."""

import re

import pytest

from ctrfast.data.report import warnings
from ctrfast.data.report.contents import Repeats
from ctrfast.data.report.warnings import find_warnings
from tests.data.report.conftest import ROWS, by_split, id_field, make_report, numeric_field

DRIFTING = {"valid": 0.01, "test": 0.6}
REPEATED = Repeats(checked=10_000, rows=50, share=0.005, capped=False)
MANY = {**ROWS, "train": 10**7}
PROVOKED = [
    ("label_rate", None, 0, {"label_rate": {"train": 0.25, "valid": 0.0, "test": 0.25}}),
    ("label_rate", None, 1, {"label_rate": {"train": 0.25, "valid": 1.0, "test": 0.25}}),
    ("label_rate", None, 0.0005, {"label_rate": {"train": 0.25, "valid": 0.25, "test": 0.0005}}),
    ("empty_split", None, 0, {"rows": {**ROWS, "valid": 0}, "label_rate": {**by_split(0.25), "valid": 0.0}}),
    ("rejected_rows", None, 0.2, {"rejected": {"columns": 20_000, "label": 10_000}}),
    ("repeated_rows", None, 0.005, {"repeated": {"valid": REPEATED}}),
    ("table_share", "b", 700_002 / 701_004, {"id_fields": (id_field("a"), id_field("b", 700_000)), "rows": MANY}),
    ("one_value", "a", 1, {"id_fields": (id_field("a", 1),)}),
    ("one_value", "a", 0, {"id_fields": (id_field("a", 0, unseen_share={"train": 1.0, "valid": 0.1, "test": 0.1}),)}),
    ("row_id", "a", 0.6, {"id_fields": (id_field("a", 60_000),)}),
    ("unseen", "a", 0.5, {"id_fields": (id_field("a", unseen_share={"train": 0.0, "valid": 0.1, "test": 0.5}),)}),
    ("drift", "a", 0.6, {"id_fields": (id_field("a", psi=DRIFTING),)}),
    ("drift", "n", 0.6, {"numeric_fields": (numeric_field("n", psi=DRIFTING),)}),
    ("leak", "a", 0.97, {"id_fields": (id_field("a", label_auc=0.97),)}),
    ("leak", "n", 0.97, {"numeric_fields": (numeric_field("n", label_auc=0.97),)}),
    ("constant_number", "n", 1.5, {"numeric_fields": (numeric_field("n", constant=True),)}),
    ("missing_number", "n", 0.96, {"numeric_fields": (numeric_field("n", missing_share=by_split(0.96)),)}),
]
NEAR = [
    {"label_rate": by_split(0.001)},
    {"rejected": {"columns": 1200}},
    {"repeated": {"test": Repeats(checked=10_000, rows=10, share=0.001, capped=False)}},
    {"id_fields": (id_field("a", 100_000), id_field("b", 100_001)), "rows": {**ROWS, "train": 10**6}},
    {"id_fields": (id_field("a"), id_field("b", 40_000))},  # most of a table, but of a small one
    {"id_fields": (id_field("a", 1_000_000, psi={}),), "rows": MANY},  # the only field
    {"id_fields": (id_field("a", 1, missing_share=by_split(0.5)),)},  # there or not: two kinds of row
    {"id_fields": (id_field("a", 50_000),)},
    {"id_fields": (id_field("a", unseen_share=by_split(0.2)),)},
    {"id_fields": (id_field("a", psi={"valid": 0.25, "test": 0.25}),)},
    {"id_fields": (id_field("a", psi=DRIFTING, psi_chance={"valid": 0.7, "test": 0.7}),)},  # a small split
    {"id_fields": (id_field("a", label_auc=0.95),)},
    {"id_fields": (id_field("a", label_auc=None),)},
    {"numeric_fields": (numeric_field("n", missing_share=by_split(0.95)),)},
]


@pytest.mark.parametrize(("code", "field", "figure", "changes"), PROVOKED)
def test_a_warning_names_field_figure_and_remedy(code, field, figure, changes):
    (warning,) = find_warnings(make_report(**changes))
    assert (warning.code, warning.field) == (code, field)
    assert warning.figure == pytest.approx(figure)
    assert warning.what.endswith(".")
    assert warning.remedy.endswith(".")


@pytest.mark.parametrize("changes", [{}, *NEAR])
def test_nothing_to_warn_of(changes):
    assert find_warnings(make_report(**changes)) == ()


def test_every_code_is_told_of():
    described = set(re.findall(r"`([a-z_]+)`", warnings.__doc__.partition("find_warnings")[0]))
    assert {code for code, *_ in PROVOKED} == described


def test_unseen_values_that_were_to_be_expected_want_more_data_and_others_later_rows():
    share = {"train": 0.0, "valid": 0.1, "test": 0.5}
    expected = make_report(id_fields=(id_field("a", unseen_share=share, unseen_expected=0.45),))
    changed = make_report(id_fields=(id_field("a", unseen_share=share, unseen_expected=0.1),))
    assert "more data" in find_warnings(expected)[0].remedy
    assert "later" in find_warnings(changed)[0].remedy


def test_a_row_id_is_not_told_of_twice():
    share = {"train": 0.0, "valid": 0.9, "test": 0.9}
    (warning,) = find_warnings(make_report(id_fields=(id_field("a", 90_000, unseen_share=share),)))
    assert warning.code == "row_id"


def test_of_the_dataset_first_then_by_field():
    report = make_report(
        label_rate=by_split(0.0005),
        numeric_fields=(numeric_field("n", constant=True),),
        id_fields=(id_field("b", 1), id_field("a", 1)),
    )
    assert [warning.field for warning in find_warnings(report)] == [None, None, None, "n", "b", "a"]
