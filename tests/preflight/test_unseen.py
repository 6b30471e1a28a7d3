"""The forecast of unseen ids is the report's, where the sample is the whole."""

import numpy as np
import pytest

from ctrfast.data.report import inspect_dataset
from ctrfast.errors import DataError
from ctrfast.preflight import unseen_findings, unseen_shares
from ctrfast.preflight.unseen import _expected
from tests import list_clicks, tiny_clicks


def drifting(rows):
    """Values of `a` that change with time, of `b` that do not."""
    labels, numbers, a, b = tiny_clicks.learnable(rows)
    return labels, numbers, a + 1000 * (np.arange(rows) > 0.7 * rows), b


def test_what_was_to_be_expected_is_no_warning_of_a_run(tmp_path):
    """Many values occur once, before and after: the report tells of it, a run need not."""
    labels, numbers, a, b = tiny_clicks.learnable(3000)
    rare = np.random.default_rng(3).integers(100, 5000, len(a))
    a = np.where(rare % 2, rare, a)
    dataset = tiny_clicks.make_dataset(tmp_path, (labels, numbers, a, b))
    shares = unseen_shares(dataset)
    assert shares["a"]["test"] > 0.3
    assert "more data" in next(each.remedy for each in inspect_dataset(dataset).warnings if each.code == "unseen")
    assert list(unseen_findings(dataset, shares)) == []


def test_many_fields_are_one_line_that_names_the_worst(tmp_path, monkeypatch):
    labels, numbers, a, _ = drifting(3000)
    dataset = tiny_clicks.make_dataset(tmp_path, (labels, numbers, a, a))
    whole = unseen_shares(dataset)
    shares = {name: {**whole[name], "valid": 0.0, "test": test} for name, test in (("a", 0.5), ("b", 0.9))}
    assert [finding.path for finding in unseen_findings(dataset, shares)] == ["dataset.a", "dataset.b"]
    monkeypatch.setattr("ctrfast.preflight.unseen._MOST_NAMED", 1)
    (finding,) = unseen_findings(dataset, shares)
    assert (finding.level, finding.path) == ("warning", "dataset")
    assert finding.message.startswith("2 fields have more unseen values")
    assert "b: 90.0%" in finding.message
    assert "a: " not in finding.message
    assert "prepare again with a later vocabulary" in finding.message


def test_it_equals_the_report_and_names_the_field(tmp_path):
    dataset = tiny_clicks.make_dataset(tmp_path, drifting(3000))
    report, shares = inspect_dataset(dataset), unseen_shares(dataset)
    assert shares == {field.name: field.unseen_share for field in report.id_fields}
    assert shares["a"]["test"] == 1
    (finding,) = unseen_findings(dataset, shares)
    (warning,) = (warning for warning in report.warnings if warning.code == "unseen")
    assert (finding.level, finding.path) == ("warning", "dataset.a")
    assert finding.message == f"a: {warning.what} {warning.remedy}"


def test_lists_are_counted_by_values_and_shared_tables_tell_no_rare_ones(tmp_path):
    """Most values occur once, several in a row: more of them than rows, and yet no share is above 1."""
    rng = np.random.default_rng(7)
    rows = [
        (str(row % 2), "1", "|".join(f"h{i}" for i in rng.integers(0, 9000, 3)), f"i{row}",
         ", ".join(f"t{i}" for i in rng.integers(0, 9000, 4)))
        for row in range(1000)
    ]  # fmt: skip
    dataset = list_clicks.make_dataset(tmp_path, rows)
    report, shares = inspect_dataset(dataset), unseen_shares(dataset)
    expected = {field.name: field.unseen_expected for field in report.id_fields}
    for field in dataset.fitted.schema_.id_fields:
        found = _expected(dataset, field, shares[field.name]["train"])
        assert found == pytest.approx(expected[field.name])
        assert 0 < found <= 1
    assert max(shares["tags"]["test"], shares["history"]["test"]) > 0.2


def test_a_shard_that_cannot_be_read_is_named(tmp_path):
    dataset = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(500))
    (dataset.path / "test" / "part-00000.parquet").write_bytes(b"spoilt")
    with pytest.raises(DataError, match=r"^test/part-00000\.parquet cannot be read"):
        unseen_shares(dataset)


def test_a_sample_is_near_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("ctrfast.data.shard_writer.ROWS_PER_GROUP", 256)
    monkeypatch.setattr("ctrfast.data.shard_writer.ROWS_PER_SHARD", 1024)
    labels, numbers, a, b = tiny_clicks.learnable(20_000)
    a = np.random.default_rng(2).zipf(1.3, len(a)) % 10_000
    dataset = tiny_clicks.make_dataset(tmp_path, (labels, numbers, a, b))
    whole = {field.name: field.unseen_share for field in inspect_dataset(dataset).id_fields}
    assert whole["a"]["test"] > 0.05
    assert abs(unseen_shares(dataset)["a"]["test"] - whole["a"]["test"]) < 0.03


def test_without_later_rows_there_is_nothing_to_warn_of(tmp_path):
    dataset = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(500), valid_fraction=0.0, test_fraction=0.0)
    shares = unseen_shares(dataset)
    assert shares == {"a": {"train": 0}, "b": {"train": 0}}
    assert list(unseen_findings(dataset, shares)) == []
