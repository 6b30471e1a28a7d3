"""What a pre-flight finds in whole datasets, and how it refuses."""

import pyarrow.parquet as pq
import pytest

from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError, DataError
from ctrfast.preflight import Finding, examine, examine_files, preflight, refuse
from ctrfast.preflight.checks import may_have_gpu
from ctrfast.schema import IdField
from tests import list_clicks, tiny_clicks
from tests.preflight.test_stored_files import SHARD, as_bytes

PLENTY = 2**40


def summary(findings):
    return [(finding.level, finding.path) for finding in findings]


def test_a_good_run_has_no_findings_and_has_estimates(tiny_dataset):
    checked = preflight(tiny_dataset, tiny_clicks.settings(), PLENTY)
    assert checked.findings == ()
    assert checked.memory.total_bytes > 0
    assert checked.time.steps == 40
    assert set(checked.unseen) == {"a", "b"}


def test_lists_and_shared_tables_are_looked_at_too(tmp_path):
    """Later items are in no vocabulary, nor in the histories that look them up in the items' table."""
    rows = list_clicks.learnable(2000)
    late = [(label, n, history.replace("item", "new"), item, tags) for label, n, history, item, tags in rows[1600:]]
    dataset = list_clicks.make_dataset(tmp_path, rows[:1600] + late)
    checked = preflight(dataset, tiny_clicks.settings(batch_size=100), PLENTY)
    assert set(checked.unseen) == {"history", "item", "tags"}
    assert (checked.unseen["history"]["test"], checked.unseen["item"]["test"]) == (pytest.approx(1, abs=0.2), 0)
    assert ("warning", "dataset.history") in summary(checked.findings)


def test_errors_of_settings_name_the_setting(tiny_dataset):
    findings = examine(tiny_dataset, tiny_clicks.settings(batch_size=5000), PLENTY)
    assert summary(findings) == [("error", "batch_size")]
    with pytest.raises(ConfigError, match="training split's 2,700 rows") as caught:
        refuse(findings)
    assert caught.value.path == "batch_size"


def test_memory_is_judged_where_it_is_known(tiny_dataset):
    config = tiny_clicks.settings()
    assert summary(examine(tiny_dataset, config, 2**20)) == [("error", "batch_size")]
    assert examine(tiny_dataset, config) == ()


def test_a_spoilt_dataset_has_no_forecast(copy):
    (copy.path / SHARD).write_bytes(b"")
    checked = preflight(copy.open(), tiny_clicks.settings(), PLENTY)
    assert ("error", "dataset") in summary(checked.findings)
    assert checked.unseen == {}
    with pytest.raises(DataError, match="bytes"):
        refuse(checked.findings)


@pytest.mark.parametrize("label", [0, 1])
def test_one_label_alone_is_refused(tmp_path, label):
    labels, numbers, a, b = tiny_clicks.learnable(1000)
    dataset = tiny_clicks.make_dataset(tmp_path, (labels * 0 + label, numbers, a, b))
    findings = examine(dataset, tiny_clicks.settings(batch_size=100))
    assert summary(findings) == [("error", "dataset.label"), *[("warning", "dataset.label")] * 2]
    with pytest.raises(DataError, match=rf"label rate of {label}\."):
        refuse(findings)


def test_splits_without_rows_are_told(tmp_path):
    dataset = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(500), valid_fraction=0.0, test_fraction=0.0)
    assert summary(examine(dataset, tiny_clicks.settings())) == [("info", "dataset")] * 2


def test_embeddings_that_lr_never_reads_are_told(tiny_dataset):
    (finding,) = examine(tiny_dataset, tiny_clicks.settings(model={"name": "lr", "embedding_dim": 4}))
    assert (finding.level, finding.path) == ("warning", "model.embedding_dim")
    assert f"{tiny_dataset.fitted.table_rows:,} x 4 numbers are trained for nothing" in finding.message
    assert examine(tiny_dataset, tiny_clicks.settings(model={"name": "lr", "embedding_dim": 1})) == ()


def test_a_network_of_pairs_needs_two_fields(tmp_path):
    schema = tiny_clicks.SCHEMA.model_copy(update={"columns": ("label", "n", "a"), "id_fields": (IdField(name="a"),)})
    labels, numbers, a, _ = tiny_clicks.learnable(900)
    rows = "".join(f"{row[0]}\t{row[1]:.3f}\ta{row[2]}\n" for row in zip(labels, numbers, a, strict=True))
    (tmp_path / "clicks.tsv").write_text(rows)
    prepare([tmp_path / "clicks.tsv"], schema, tmp_path / "dataset", split="sequential")
    config = tiny_clicks.settings(model={"name": "fwfm", "embedding_dim": 4}, batch_size=100)
    (finding,) = examine(Dataset.open(tmp_path / "dataset"), config)
    assert (finding.level, finding.path) == ("error", "model.name")
    assert "fwfm is of pairs of id fields. Got a dataset of one, a." in finding.message


def test_rows_that_no_batch_takes(tiny_dataset):
    (finding,) = examine(tiny_dataset, tiny_clicks.settings(batch_size=1500))
    assert (finding.level, finding.path) == ("warning", "batch_size")
    assert "1,200 of the 2,700 training rows (44%)" in finding.message


def test_a_pool_of_few_row_groups(copy):
    copy.replace(SHARD, as_bytes(pq.read_table(copy.path / SHARD), row_group_size=1350))
    (finding,) = examine_files(copy.open(), tiny_clicks.settings(shuffle_rows=2025))
    assert (finding.level, finding.path) == ("warning", "shuffle_rows")
    assert "holds 1.5 of the row groups" in finding.message
    assert "shuffle_rows=2,700 or more" in finding.message
    assert examine_files(copy.open(), tiny_clicks.settings(shuffle_rows=2700)) == ()


def test_row_groups_that_are_too_large_or_too_small(copy, monkeypatch):
    copy.replace(SHARD, as_bytes(pq.read_table(copy.path / SHARD), row_group_size=90))
    (finding,) = examine_files(copy.open(), tiny_clicks.settings())
    assert (finding.level, finding.path) == ("warning", "dataset")
    assert "have 90 rows on average" in finding.message

    monkeypatch.setattr("ctrfast.preflight.checks.ROWS_PER_GROUP", 89)
    settings, levels = tiny_clicks.settings(), []
    host = preflight(copy.open(), settings, PLENTY).memory.total_bytes
    for available in (host, PLENTY):
        large = [each for each in examine_files(copy.open(), settings, available) if "at most 89 rows" in each.message]
        levels += [each.level for each in large]
    assert levels == ["warning", "warning"]
    monkeypatch.setattr("ctrfast.preflight.checks.row_bytes", lambda schema: host)
    assert ("error", "dataset") in summary(examine_files(copy.open(), settings, host))


def test_warnings_refuse_nothing():
    refuse([Finding("warning", "w", "batch_size"), Finding("info", "i", "dataset")])


def test_where_a_gpu_may_be(tmp_path):
    assert not may_have_gpu(tmp_path)
    (tmp_path / "nvidia0").touch()
    assert may_have_gpu(tmp_path)
