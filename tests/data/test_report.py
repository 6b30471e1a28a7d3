import pytest

from ctrfast.data.prepare import prepare
from ctrfast.data.report import inspect_dataset
from ctrfast.data.shards import Dataset


def test_shares_by_hand(tmp_path, tiny):
    train = b"1\t1\tx\ty\n0\t\tx\t\n0\t3\tz\t\n0\t5\tx\ty\nbroken\n"
    test = b"1\t\tnew\ty\n0\t1\t\ty\n0\t1\tz\tother\n0\t1\tx\ty\n"
    (tmp_path / "raw.tsv").write_bytes(train + test)
    prepare(
        [tmp_path / "raw.tsv"],
        tiny,
        tmp_path / "out",
        split="sequential",
        valid_fraction=0.0,
        test_fraction=0.5,
        min_count=2,
    )
    report = inspect_dataset(Dataset.open(tmp_path / "out"), embedding_dim=4)
    assert report.rows == {"train": 4, "valid": 0, "test": 4}
    assert report.label_rate == {"train": 0.25, "valid": 0.0, "test": 0.25}
    assert report.rejected == {"columns": 1}
    a, b = report.id_fields
    assert (a.name, a.values, a.top_value, a.top_share) == ("a", 1, "x", 0.75)
    assert a.unseen_share == {"train": 0.25, "valid": 0.0, "test": 0.5}  # z is rare; new and z
    assert a.missing_share == {"train": 0.0, "valid": 0.0, "test": 0.25}
    assert b.missing_share == {"train": 0.5, "valid": 0.0, "test": 0.0}
    assert b.unseen_share == {"train": 0.0, "valid": 0.0, "test": 0.25}
    (n,) = report.numeric_fields
    assert (n.mean, n.missing_share) == (3.0, {"train": 0.25, "valid": 0.0, "test": 0.25})
    assert n.std == pytest.approx((8 / 3) ** 0.5)
    assert report.table_rows == 6
    assert report.table_bytes == 6 * 5 * 4


def test_counts_add_up_over_shards(dataset):
    report = inspect_dataset(dataset)
    assert report.id_fields[0].unseen_share["train"] < report.id_fields[0].unseen_share["test"]
    assert len(report.id_fields) == 26
    assert report.dataset_bytes > 0
    assert type(report).model_validate_json(report.model_dump_json()) == report
