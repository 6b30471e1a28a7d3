import json
import shutil

import numpy as np
import pytest

from ctrfast.data.prepare import prepare
from ctrfast.data.report import DataReport, inspect_dataset
from ctrfast.data.shards import Dataset
from ctrfast.folders import seal, write_file
from tests import tiny_clicks


@pytest.fixture
def make(tmp_path, tiny):
    """Prepare lines of (label, number, id, id)."""

    def make(lines, *, test_fraction=0.5, split="sequential", **settings):
        (tmp_path / "raw.tsv").write_bytes(lines)
        fractions = {"valid_fraction": 0.0, "test_fraction": test_fraction}
        prepare([tmp_path / "raw.tsv"], tiny, tmp_path / "out", split=split, **fractions, **settings)
        return Dataset.open(tmp_path / "out")

    return make


def test_shares_by_hand(make):
    train = b"1\t1\tx\ty\n0\t\tx\t\n0\t3\tz\t\n0\t5\tx\ty\nbroken\n"
    test = b"1\t\tnew\ty\n0\t1\t\ty\n0\t1\tz\tother\n0\t1\tx\ty\n"
    report = inspect_dataset(make(train + test, min_count=2), embedding_dim=4)
    assert report.rows == {"train": 4, "valid": 0, "test": 4}
    assert report.label_rate == {"train": 0.25, "valid": 0.0, "test": 0.25}
    assert report.rejected == {"columns": 1}
    a, b = report.id_fields
    assert (a.name, a.values, a.top_value, a.top_share) == ("a", 1, "x", 0.75)
    assert (a.top10_share, a.top100_share, a.table_rows, a.table_bytes) == (0.75, 0.75, 3, 60)
    assert a.unseen_share == {"train": 0.25, "valid": 0.0, "test": 0.5}  # z is rare; new and z
    assert a.missing_share == {"train": 0.0, "valid": 0.0, "test": 0.25}
    assert (a.unseen_expected, b.unseen_expected) == (0.25, 0.5)  # z; y occurs min_count times
    assert b.missing_share == {"train": 0.5, "valid": 0.0, "test": 0.0}
    assert b.unseen_share == {"train": 0.0, "valid": 0.0, "test": 0.25}
    assert (a.frequencies, b.frequencies) == (((1, 3),), ((1, 2),))
    assert list(a.psi) == list(a.psi_chance) == ["test"]
    (n,) = report.numeric_fields
    assert (n.mean, n.missing_share) == (3.0, {"train": 0.25, "valid": 0.0, "test": 0.25})
    assert n.std == pytest.approx((8 / 3) ** 0.5)
    assert report.table_rows == 6
    assert report.table_bytes == 6 * 5 * 4
    assert report.training_bytes == 3 * report.table_bytes
    assert [(field.name, field.share) for field in report.largest_fields] == [("a", 0.5), ("b", 0.5)]
    assert report.label_slices["valid"] == ()
    assert [(part.first_row, part.rows, part.positives) for part in report.label_slices["test"]] == [
        *((0, 1, 1), (1, 1, 0), (2, 1, 0), (3, 1, 0))
    ]


def test_counts_add_up_over_shards(dataset):
    report = inspect_dataset(dataset)
    assert report.id_fields[0].unseen_share["train"] < report.id_fields[0].unseen_share["test"]
    assert len(report.id_fields) == 26
    assert report.dataset_bytes > 0
    assert sum(field.table_bytes for field in report.id_fields) == report.table_bytes
    assert [field.rows for field in report.largest_fields] == sorted(dataset.fitted.table_sizes, reverse=True)[:10]
    for split in ("train", "valid", "test"):
        slices = report.label_slices[split]
        assert len(slices) == 50
        assert sum(part.rows for part in slices) == report.rows[split]
        assert sum(part.positives for part in slices) == dataset.split(split).positives
    for field in report.id_fields:
        assert len(field.frequencies) <= 200
        assert [rank for rank, _ in field.frequencies] == sorted({rank for rank, _ in field.frequencies})
        assert field.frequencies[-1][0] == field.values


def test_the_same_dataset_gives_the_same_bytes(dataset, tmp_path):
    shutil.copytree(dataset.path, tmp_path / "copy")
    first = inspect_dataset(dataset)
    assert DataReport.model_validate_json(first.model_dump_json()) == first
    assert inspect_dataset(Dataset.open(tmp_path / "copy")).model_dump_json() == first.model_dump_json()


def test_a_known_number_of_rows_is_in_train_and_test(make):
    train = "".join(f"{row % 2}\t{row}\ta{row}\tb\n" for row in range(100))
    new = "".join(f"{row % 2}\t{row + 1000}\ta{row}\tb\n" for row in range(90))
    other_label = "".join(f"{1 - row % 2}\t{row}\ta{row}\tb\n" for row in range(3))
    repeated = "".join(f"{row % 2}\t{row}\ta{row}\tb\n" for row in (1, 5, 5, 7, 98, 99, 0))
    report = inspect_dataset(make((train + new + other_label + repeated).encode()))
    assert (report.repeated["test"].checked, report.repeated["test"].rows) == (100, 7)
    assert report.repeated["test"].share == 0.07
    assert (report.repeated["valid"].checked, report.repeated["valid"].rows) == (0, 0)
    (warning,) = [warning for warning in report.warnings if warning.code == "repeated_rows"]
    assert (warning.figure, warning.field) == (0.07, None)


def lines(labels, numbers, a, b):
    rows = zip(labels, numbers, a, b, strict=True)
    return "".join(f"{label}\t{number:.4f}\ta{x}\tb{y}\n" for label, number, x, y in rows).encode()


@pytest.mark.parametrize("min_count", [1, 2])
def test_rare_values_do_not_look_like_drift_between_random_splits(make, min_count):
    rng = np.random.default_rng(3)
    rare = np.minimum(rng.zipf(1.3, 6000), 10**9)
    clicks = lines(rng.integers(0, 2, 6000), rng.normal(size=6000), rare, rng.integers(0, 30, 6000))
    report = inspect_dataset(make(clicks, split="random", test_fraction=0.3, min_count=min_count))
    field = report.id_fields[0]
    assert field.unseen_share["test"] > 0.1
    assert field.unseen_expected == pytest.approx(field.unseen_share["test"], abs=0.04)
    assert field.psi["test"] < field.psi_chance["test"] < 0.25
    assert report.numeric_fields[0].psi["test"] < 0.1
    assert not {"drift", "leak"} & {warning.code for warning in report.warnings}


def test_fields_that_drift_and_fields_that_tell_the_label(make):
    rng = np.random.default_rng(4)
    later = np.arange(4000) >= 2000
    label = rng.integers(0, 2, 4000)
    clicks = lines(label, rng.normal(size=4000) + later, rng.integers(0, 9, 4000) + 4 * later, label)
    report = inspect_dataset(make(clicks))
    assert {(of.code, of.field) for of in report.warnings if of.code in ("drift", "leak")} == {
        *(("drift", "n"), ("drift", "a"), ("leak", "b"))
    }
    assert report.id_fields[1].label_auc == 1


def test_a_number_that_tells_the_label(make):
    rng = np.random.default_rng(5)
    label = rng.integers(0, 2, 4000)
    numbers = 3 * label + rng.normal(size=4000) / 9
    report = inspect_dataset(make(lines(label, numbers, rng.integers(0, 9, 4000), rng.integers(0, 9, 4000))))
    assert [of.field for of in report.warnings if of.code == "leak"] == ["n"]


def test_a_constant_number(make):
    report = inspect_dataset(make(b"".join(b"%d\t7.25\ta%d\tb%d\n" % (i % 2, i % 5, i % 3) for i in range(60))))
    (number,) = report.numeric_fields
    assert (number.constant, number.mean, number.psi) == (True, 7.25, {"test": 0.0})
    assert "constant_number" in {warning.code for warning in report.warnings}


def test_missing_numbers_count_as_drift(make):
    first = b"".join(b"%d\t%d\ta%d\tb%d\n" % (i % 2, i % 50, i % 5, i % 3) for i in range(500))
    then = b"".join(b"%d\t\ta%d\tb%d\n" % (i % 2, i % 5, i % 3) for i in range(500))
    (number,) = inspect_dataset(make(first + then)).numeric_fields
    assert number.missing_share["test"] == 1
    assert number.psi["test"] > 1


def test_the_timeline_is_that_of_the_manifest(tmp_path):
    dataset = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(200))
    assert inspect_dataset(dataset).timeline == ()
    file = dataset.path / "manifest.json"
    content = json.loads(file.read_text())
    content["timeline"] = [{"start": "2014-10-21T00:00", "rows": 150, "positives": 20}]
    write_file(file, json.dumps({**content, "seal": seal(content)}))
    (point,) = inspect_dataset(Dataset.open(dataset.path)).timeline
    assert (point.start, point.rows, point.positives) == ("2014-10-21T00:00", 150, 20)


def derived(tmp_path, tiny, lines, numbers=(), ids=(), **settings):
    """The report on fields made from the tiny schema's columns."""
    schema = tiny.model_validate({**tiny.model_dump(), "numeric_fields": numbers, "id_fields": ids})
    (tmp_path / "raw.tsv").write_bytes(lines)
    halves = {"split": "sequential", "valid_fraction": 0.0, "test_fraction": 0.5}
    prepare([tmp_path / "raw.tsv"], schema, tmp_path / "out", **halves, **settings)
    return inspect_dataset(Dataset.open(tmp_path / "out"), embedding_dim=4)


def test_all_rows_of_unseen_values_count_as_unseen(tmp_path, tiny):
    train = b"".join(b"1\t1\tx\t%d\n" % row for row in range(60)) + b"0\t1\tx\t\n" * 40
    test = b"".join(b"1\t1\tx\tnew%d\n" % row for row in range(70)) + b"0\t1\tx\t\n" * 30
    ids = [{"name": "one", "column": "b"}, {"name": "ten", "column": "b", "unseen_buckets": 10}]
    one, ten = derived(tmp_path, tiny, train + test, ids=ids, min_count=2).id_fields
    assert ten.unseen_share == one.unseen_share == {"train": 0.6, "valid": 0.0, "test": 0.7}
    assert (ten.psi, ten.unseen_expected, ten.label_auc) == (one.psi, one.unseen_expected, one.label_auc)
    assert (one.table_rows, ten.table_rows, ten.table_bytes) == (2, 11, 220)


def test_hash_buckets_are_counted_and_never_unseen(tmp_path, tiny):
    lines = b"".join(b"1\t1\tx\tv%d\n" % (row % 7) for row in range(70)) * 2
    ids = [{"name": "h", "column": "b", "hash_buckets": 1000}]
    report = derived(tmp_path, tiny, lines, ids=ids, min_count=2)
    (field,) = report.id_fields
    assert (field.values, field.table_rows, field.top_value) == (7, 1002, None)
    assert (field.top_share, field.top10_share) == (pytest.approx(1 / 7), 1.0)
    assert field.unseen_share == {"train": 0.0, "valid": 0.0, "test": 0.0}
    assert field.unseen_expected == 0
    assert field.frequencies[0] == (1, 10)


def test_min_count_is_each_fields_own(tmp_path, tiny):
    lines = b"1\t1\tx\ty\n0\t1\tx\ty\n0\t1\tx\tz\n0\t1\tx\ty\n" * 2
    ids = [{"name": "b"}, {"name": "b1", "column": "b", "min_count": 1}]
    of_b, of_b1 = derived(tmp_path, tiny, lines, ids=ids, min_count=3).id_fields
    assert (of_b.values, of_b1.values) == (1, 2)
    assert of_b.unseen_expected == 1.0  # z is rare, and y occurs just often enough
    assert of_b1.unseen_expected == 0.25  # z


@pytest.mark.parametrize("scale", ["standard", "min_max", "none"])
def test_missing_and_constant_numbers_are_told_under_each_scale(tmp_path, tiny, scale):
    lines = b"".join(b"1\t%d\tx\t\n0\t\tx\t\n" % row for row in range(50)) * 2
    (field,) = derived(tmp_path, tiny, lines, [{"name": "n", "scale": scale}], [{"name": "a"}]).numeric_fields
    assert (field.constant, field.missing_share["test"], field.psi["test"]) == (False, 0.5, 0.0)
    (tmp_path / "b").mkdir()
    lines = b"1\t7\tx\t\n0\t\tx\t\n" * 20
    (field,) = derived(tmp_path / "b", tiny, lines, [{"name": "n", "scale": scale}], [{"name": "a"}]).numeric_fields
    assert (field.constant, field.mean) == (True, 7.0)


def test_the_frame_has_a_row_per_field(make):
    train = b"1\t1\tx\ty\n0\t\tx\t\n0\t3\tz\t\n0\t5\tx\ty\n"
    test = b"1\t\tnew\ty\n0\t1\t\ty\n0\t1\tz\tother\n0\t1\tx\ty\n"
    report = inspect_dataset(make(train + test, min_count=2))
    frame = report.frame()
    assert list(frame.index) == ["n", "a", "b"]
    assert frame["kind"].tolist() == ["number", "id", "id"]
    assert frame["missing"].tolist() == [0.25, 0.0, 0.5]
    assert frame.loc["a", ["values", "table_rows", "unseen_train", "unseen_test"]].tolist() == [1, 3, 0.25, 0.5]
    assert np.isnan(frame.loc["n", "unseen_test"])
    assert frame["psi_test"].tolist() == [field.psi["test"] for field in (*report.numeric_fields, *report.id_fields)]
    assert "psi_valid" not in frame  # it has no rows
