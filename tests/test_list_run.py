"""Lists and a shared table through a run: training, evaluation, resuming, export, scores, a warm start."""

import gzip

import numpy as np
import pyarrow.parquet as pq
import pytest

from ctrfast.batch_score import score_files
from ctrfast.errors import Cancelled, ConfigError
from ctrfast.evaluate import evaluate
from ctrfast.export import export_bundle
from ctrfast.memory import estimate
from ctrfast.network import Network
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.score import Scorer
from ctrfast.train import train
from ctrfast.warm_start import WarmStart
from tests import list_clicks, tiny_clicks

ROWS = list_clicks.learnable(2500)
CONFIG = tiny_clicks.settings(batch_size=150, epochs=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lists")


@pytest.fixture(scope="module")
def dataset(folder):
    return list_clicks.make_dataset(folder, ROWS)


@pytest.fixture(scope="module")
def run_path(folder, dataset):
    train(dataset, CONFIG, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def bundle_path(folder, run_path):
    export_bundle(run_path, folder / "bundle", saved_model=True)
    return folder / "bundle"


def test_a_run_learns_and_reports_by_table(run_path):
    run = Run.open(run_path)
    assert run.metrics["test_auc"] > 0.7
    trained = [record for record in tiny_clicks.records(run_path) if record["kind"] == "train"]
    assert set(trained[-1]["clipped_share_by_field"]) == {"item", "tags"}


def test_a_stopped_run_goes_on_to_the_same_end(folder, dataset, run_path):
    asked = iter(range(10**6))
    with pytest.raises(Cancelled):
        train(dataset, CONFIG, folder / "stopped", should_stop=lambda: next(asked) == 14)
    train(dataset, CONFIG, folder / "stopped", resume=True)
    tiny_clicks.same_run(run_path, folder / "stopped")


def test_evaluation_is_the_same_on_shards_and_raw_rows(folder, dataset, run_path):
    test_rows = ROWS[-dataset.rows("test") :]
    raw = list_clicks.write_clicks(folder / "test.tsv", test_rows)
    of_split = evaluate(run_path, [dataset.path], segment="item")
    of_raw = evaluate(run_path, [raw], segment="item")
    assert of_split.metrics == pytest.approx(of_raw.metrics)
    assert of_split.segments.segments[0].value == of_raw.segments.segments[0].value
    rows = [row[3] for row in test_rows]
    assert of_raw.segments.segments[0].rows == rows.count(of_raw.segments.segments[0].value)
    with pytest.raises(ConfigError, match=r"`segment` must have one value a row\. Got tags") as caught:
        evaluate(run_path, [raw], segment="tags")
    assert caught.value.path == "segment"


def test_run_bundle_and_rows_score_alike(folder, dataset, run_path, bundle_path):
    (folder / "all.tsv.gz").write_bytes(gzip.compress((folder / "dataset.tsv").read_bytes()))
    inputs = {"run": (run_path, folder / "all.tsv.gz"), "bundle": (bundle_path, folder / "all.tsv.gz")}
    inputs |= {"shards": (bundle_path, dataset.path)}
    scores = {}
    for name, (model, rows) in inputs.items():
        score_files(model, [rows], folder / f"{name}.parquet")
        scores[name] = pq.read_table(folder / f"{name}.parquet")["score"].to_numpy()
        assert len(scores[name]) == len(ROWS)
    scorer = Scorer.load(bundle_path)
    scores["rows"] = scorer.score_rows(list_clicks.as_json(ROWS))
    for name in ("bundle", "shards", "rows"):
        np.testing.assert_allclose(scores[name], scores["run"], rtol=0, atol=1e-5)
    assert np.ptp(scores["run"]) > 0.3


def test_only_the_first_values_and_no_empty_ones_count(bundle_path):
    scorer = Scorer.load(bundle_path)
    same = ["item-1|item-2|item-3", "|item-1||item-2|item-3|", "item-1|item-2|item-3|item-4"]
    scores = scorer.score_rows([{"history": text} for text in [*same, "item-1|item-2", "item-4|item-1|item-2|item-3"]])
    np.testing.assert_array_equal(scores[:3], scores[0])
    assert len(set(scores[2:].tolist())) == 3


def test_a_saved_model_scores_alike(bundle_path):
    import tensorflow as tf

    scorer = Scorer.load(bundle_path)
    ids, numbers, expected = scorer.bundle.golden()
    serve = tf.saved_model.load(str(bundle_path / "saved_model")).signatures["serving_default"]
    found = serve(ids=tf.constant(ids), numbers=tf.constant(numbers))["probability"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_warm_start_moves_the_tables_of_a_grown_vocabulary(folder, run_path):
    more = [(*row[:2], row[2].replace("item-1", "new-1"), *row[3:]) for row in ROWS]
    today = list_clicks.make_dataset(folder, more, "today", vocabulary_from=run_path, grow=True)
    old, new = Run.open(run_path).encoder().fitted, today.fitted
    before = open_network(Run.open(run_path)).table.numpy()
    network = Network(CONFIG.model, new, seed=7, embedding_init_std=0.5)
    WarmStart(Run.open(run_path), CONFIG, today.encoder()).restore(network.weights())
    table = network.table.numpy()
    (old_items, old_tags), (new_items, new_tags) = ((f.tables["item"], f.tables["tags"]) for f in (old, new))
    assert new_items.size > old_items.size
    known = old_items.more_unseen
    np.testing.assert_array_equal(table[:known], before[:known])
    unseen = slice(new_items.more_unseen, new_items.size)  # with padding
    np.testing.assert_array_equal(table[unseen], before[known : old_items.size])
    np.testing.assert_array_equal(table[new_items.size :], before[old_items.size :])
    assert new_tags == old_tags
    assert not table[new_items.padding].any()
    assert train(today, CONFIG, folder / "warm", warm_start=run_path).metrics["test_auc"] > 0.6


def test_memory_counts_slots_and_each_table_once(dataset):
    needs = estimate(dataset.fitted, CONFIG)
    assert {name: field.rows for name, field in needs.by_field.items()} == dict(
        zip(("item", "tags"), dataset.fitted.table_sizes, strict=True)
    )
    by_lists = 150 * 8 * (4 + 1) * 4 * 4
    assert needs.by_part["batch"] > by_lists
