"""Pictures of a dataset, and of a run on it: id frequencies, gradient norms, reliability; each against numpy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from matplotlib.figure import Figure

from ctrfast.data.batches import Shuffle, batches
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError, DataError
from ctrfast.lab import draw_gradient_norms, draw_id_frequency, draw_reliability, gradient_norms, id_counts
from ctrfast.reliability_bins import Reliability
from ctrfast.run import Run
from ctrfast.run_network import RunScorer, open_network
from ctrfast.train import train
from tests import tiny_clicks
from tests.lab.frames import drawn, texts

COWCLIP = {"lr_dense": 0.01, "lr_embed": 0.01, "l2": 1e-4, "clip_ratio": 0.02, "bound": 1e-3}


@pytest.fixture(scope="module")
def clipped_run(tiny_dataset, tmp_path_factory):
    """A run of CowClip with a limit so low that it clips many rows."""
    out = tmp_path_factory.mktemp("runs") / "clipped"
    train(tiny_dataset, tiny_clicks.settings(epochs=2, optimizer=COWCLIP, scaling={"base_batch_size": 125}), out)
    return out


def test_id_counts_are_those_of_the_vocabulary(tiny_dataset):
    counts = id_counts(tiny_dataset)
    for name in ("a", "b"):
        part = counts[counts["field"] == name]
        kept = pq.read_table(tiny_dataset.path / "vocabulary" / f"{name}.parquet")["count"].to_pylist()
        assert list(part["count"]) == sorted(kept, reverse=True)
        assert list(part["rank"]) == list(range(1, len(kept) + 1))
    (axes,) = draw_id_frequency(counts).axes
    lines = drawn(axes)
    assert list(lines) == ["a: 60 values", "b: 12 values"]
    assert lines["b: 12 values"] == (list(range(1, 13)), list(counts[counts["field"] == "b"]["count"]))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    (axes,) = draw_id_frequency(counts, fields=["b"]).axes
    assert list(drawn(axes)) == ["the other field", "b: 12 values"]
    with pytest.raises(DataError, match="at least one row"):
        draw_id_frequency(counts.head(0))
    with pytest.raises(ConfigError, match="Unknown id table 'c'"):
        draw_id_frequency(counts, fields=["c"])


def test_gradient_norms_by_an_independent_tape(tiny_dataset, clipped_run):
    """The gradient of the mean loss by the whole table, L2 and CowClip's limit, on each batch; then the means."""
    run, B = Run.open(clipped_run), 500
    network = open_network(run)
    table, plan = network.table.numpy()[:, :-1].astype(float), run.plan
    sums = {name: np.zeros(len(table)) for name in ("seen", "frequency", "loss_norm", "step_norm", "limit", "clipped")}
    for batch in batches(tiny_dataset, "train", B, shuffle=Shuffle((5,), 10_000), drop_remainder=True):
        with tf.GradientTape() as tape:
            logits = network.model.logits(network.look_up(batch.ids), batch.numbers)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=batch.labels, logits=logits))
        gradient = tf.convert_to_tensor(tape.gradient(loss, network.table)).numpy()[:, :-1].astype(float)
        counts = np.bincount(batch.ids.reshape(-1), minlength=len(table))
        here = counts > 0
        norm = np.linalg.norm(table, axis=1)
        step = np.linalg.norm(gradient + 2 * plan.l2 * table, axis=1)
        limit = counts * plan.clip_ratio * np.maximum(norm, plan.clip_ratio * 2 * plan.bound)  # sqrt(D) = 2
        figures = (here, counts, np.linalg.norm(gradient, axis=1), step, limit, step > limit)
        for name, values in zip(sums, figures, strict=True):
            sums[name] += np.where(here, values, 0)
    norms = gradient_norms(clipped_run, tiny_dataset, batch_size=B, seed=5)
    seen = sums.pop("seen")
    rows = np.flatnonzero(seen)
    assert len(norms) == len(rows)
    assert set(norms["batch_size"]) == {B}
    start = np.where(norms["field"] == "a", *tiny_dataset.fitted.table_starts)
    np.testing.assert_array_equal(start + norms["id"], rows)
    for name, total in sums.items():
        np.testing.assert_allclose(norms[name], (total / np.maximum(seen, 1))[rows], rtol=1e-4, atol=1e-9, err_msg=name)
    assert 0 < norms["clipped"].mean() < 1


def test_gradients_add_up_over_micro_batches(tiny_dataset, clipped_run, monkeypatch):
    whole = gradient_norms(clipped_run, tiny_dataset, most_batches=1)
    monkeypatch.setattr("ctrfast.lab.id_gradients.CPU_MICRO_BATCH_ROWS", 99)
    parts = gradient_norms(clipped_run, tiny_dataset, most_batches=1)
    assert set(whole["batch_size"]) == {250}
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-4, atol=1e-8)


def test_medians_of_ids_that_are_alike_in_frequency():
    norms = pd.DataFrame({"frequency": [1.0, 1.5, 2.0, 3.0, 3.5], "step_norm": [1.0, 3.0, 2.0, 4.0, 9.0]})
    norms["limit"], norms["batch_size"] = 10 * norms["frequency"], 128
    (axes,) = draw_gradient_norms(norms).axes
    lines = drawn(axes)
    assert lines["gradient, batch 128"] == ([1.25, 3.0], [2.0, 4.0])
    assert lines["limit, batch 128"] == ([1.25, 3.0], [12.5, 30.0])
    assert "occurrences of the id in a batch" in texts(axes)
    assert list(drawn(draw_gradient_norms(norms, limit=False).axes[0])) == ["gradient, batch 128"]
    with pytest.raises(DataError, match="at least one row"):
        draw_gradient_norms(norms.head(0))


@pytest.mark.parametrize(
    "settings, path",
    [({"batch_size": 2701}, "batch_size"), ({"batch_size": 0}, "batch_size"), ({"most_batches": 0}, "most_batches")],
)
def test_batches_that_there_are_not_are_refused(tiny_dataset, clipped_run, settings, path):
    with pytest.raises(ConfigError) as caught:
        gradient_norms(clipped_run, tiny_dataset, **settings)
    assert caught.value.path == path


def test_reliability_of_a_split(tiny_dataset, clipped_run):
    above, below = draw_reliability(clipped_run, tiny_dataset).axes
    (batch,) = batches(tiny_dataset, "test", 10_000)
    probabilities = RunScorer(Run.open(clipped_run)).score_arrays(batch.ids, batch.numbers)
    expected = Reliability.of(batch.labels, probabilities)
    (x, y) = next(points for label, points in drawn(above).items() if label.startswith("before"))
    np.testing.assert_allclose(x, expected.predicted, rtol=1e-6)
    np.testing.assert_allclose(y, expected.seen)
    assert "test split, 900 rows" in texts(above)
    assert "click rate predicted" in texts(below)
    axes = tuple(Figure().subplots(2))
    assert draw_reliability(clipped_run, tiny_dataset, "valid", axes=axes) is axes[0].figure
    assert "valid split, 900 rows" in texts(axes[0])


def test_another_dataset_is_refused(tiny_dataset, clipped_run, tmp_path):
    other = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(500, seed=2), test_fraction=0.0)
    for use in (lambda: gradient_norms(clipped_run, other), lambda: draw_reliability(clipped_run, other)):
        with pytest.raises(DataError, match="another vocabulary"):
            use()


def test_a_split_without_rows_is_refused(tiny_dataset, clipped_run, monkeypatch):
    monkeypatch.setattr(Dataset, "rows", lambda *_: 0)
    with pytest.raises(DataError, match="The split test of") as caught:
        draw_reliability(clipped_run, tiny_dataset)
    assert caught.value.path == "split"
