"""The norms of a table's rows by field, against numpy; and where a run logs them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.errors import TrainingError
from ctrfast.loop import embedding_norms as module
from ctrfast.loop.divergence import check_norms
from ctrfast.loop.embedding_norms import embedding_norms
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.train import train
from tests import tiny_clicks


def by_hand(table, fitted):
    """Root mean square of the rows' norms, without the linear column."""
    ends = [*fitted.table_starts[1:], fitted.table_rows]
    return {
        name: np.sqrt(np.mean(np.sum(np.square(table[start:end, :-1].astype(float)), axis=1)))
        for name, start, end in zip(fitted.tables, fitted.table_starts, ends, strict=True)
    }


@pytest.mark.parametrize("rows_at_once", [7, 250_000])
def test_norms_by_numpy(tiny_dataset, monkeypatch, rows_at_once):
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", rows_at_once)
    fitted = tiny_dataset.fitted
    table = np.random.default_rng(1).normal(size=(fitted.table_rows, 5)).astype(np.float32)
    expected = by_hand(table, fitted)
    assert embedding_norms(tf.Variable(table), fitted) == pytest.approx(expected, rel=1e-9)
    assert set(expected) == {"a", "b"}


def test_large_weights_do_not_overflow_and_others_are_refused(tiny_dataset):
    table = np.full((tiny_dataset.fitted.table_rows, 5), 1e30, np.float32)
    norms = embedding_norms(tf.Variable(table), tiny_dataset.fitted)
    assert norms == pytest.approx({"a": 2e30, "b": 2e30}, rel=1e-6)
    check_norms(norms.values(), 3)
    table[0, 0] = np.inf
    with pytest.raises(TrainingError, match="not a finite number after step 3"):
        check_norms(embedding_norms(tf.Variable(table), tiny_dataset.fitted).values(), 3)


def test_a_run_logs_them_at_each_validation(watched_run, tiny_dataset):
    logged = [record for record in tiny_clicks.records(watched_run) if "embedding_norm_by_field" in record]
    steps = [step for step, _ in tiny_clicks.evaluations(watched_run)]
    assert [record["step"] for record in logged] == steps
    run = Run.open(watched_run)
    final = int(run.receipt.checkpoint.removeprefix("step-"))
    (record,) = [record for record in logged if record["step"] == final]
    table = open_network(run).table.numpy()
    assert record["embedding_norm_by_field"] == pytest.approx(by_hand(table, tiny_dataset.fitted), rel=1e-9)
    seconds = [record["train_s"] for record in tiny_clicks.records(watched_run)]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] <= run.receipt.train_s
    assert not [name for name in run.metrics if "train_s" in name]


def test_without_validation_rows_each_epochs_last_record_has_them(tmp_path):
    dataset = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(1000), valid_fraction=0.0)
    train(dataset, tiny_clicks.settings(epochs=2, log_every_steps=2), tmp_path / "run")
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(r["step"], "embedding_norm_by_field" in r) for r in records if r["kind"] == "train"] == [
        (2, False), (3, True), (4, False), (6, True),
    ]  # fmt: skip
