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
