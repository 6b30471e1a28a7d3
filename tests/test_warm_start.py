"""Daily retraining: today's vocabulary grows from yesterday's, and today's model begins with yesterday's weights."""

import numpy as np
import pyarrow as pa
import pytest

from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.network import Network
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.schema import Schema
from ctrfast.train import train
from ctrfast.warm_start import WarmStart
from tests import tiny_clicks

CONFIG = tiny_clicks.settings(batch_size=32, epochs=1, scaling={"base_batch_size": 32})


def day(folder, name, first, **settings):
    """A dataset of 300 rows whose ids of the field `b` begin at `first`; `a` has 5 ids, always the same ones."""
    rows = (f"{row % 2}\t{row % 9}\ta{row % 5}\tlong-name-of-{first + row % 40}\n" for row in range(300))
    (folder / f"{name}.tsv").write_text("".join(rows))
    whole = {"split": "sequential", "valid_fraction": 0.1, "test_fraction": 0.1}
    prepare([folder / f"{name}.tsv"], tiny_clicks.SCHEMA, folder / name, **whole, **settings)
    return Dataset.open(folder / name)


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    return tmp_path_factory.mktemp("days")


@pytest.fixture(scope="module")
def yesterday(days):
    """A finished run on ids 0 to 39."""
    train(day(days, "monday", 0), CONFIG, days / "run")
    return Run.open(days / "run")


@pytest.fixture(scope="module")
def today(days, yesterday):
    """Ids 20 to 59: half of them new."""
    return day(days, "tuesday", 20, vocabulary_from=yesterday.path, grow=True)


def test_a_grown_vocabulary_keeps_all_ids_and_appends_new_ones(yesterday, today):
    old, new = yesterday.encoder(), today.encoder()
    assert new.fitted.statistics == old.fitted.statistics
    assert new.vocabularies["a"].values.equals(old.vocabularies["a"].values)
    assert len(new.vocabularies["b"]) == 60
    assert new.vocabularies["b"].values.slice(0, 40).equals(old.vocabularies["b"].values)
    texts = [f"long-name-of-{index}" for index in (0, 25, 59, 60)]
    ids = new.vocabularies["b"].encode(pa.array(texts)).tolist()
    assert ids[:2] == old.vocabularies["b"].encode(pa.array(texts[:2])).tolist()
    assert ids[2] >= 42
    assert ids[3] == 0


def test_a_frozen_vocabulary_is_the_earlier_one(days, yesterday):
    frozen = day(days, "frozen", 20, vocabulary_from=yesterday.path)
    assert frozen.fitted == yesterday.encoder().fitted
    assert frozen.manifest.preparation["vocabulary_from"] == yesterday.encoder().fitted.hash


def test_old_rows_are_taken_over_and_new_ones_are_initialised(yesterday, today):
    network = Network(CONFIG.model, today.fitted, seed=7, embedding_init_std=0.5)
    start = network.table.numpy()
    WarmStart(yesterday, CONFIG, today.encoder()).restore(network.weights())
    old = open_network(yesterday)
    for name, variable in old.weights().items():
        if name != "table":
            np.testing.assert_array_equal(network.weights()[name], variable)
    for field, rows in enumerate(old_sizes := yesterday.encoder().fitted.table_sizes):
        new_start, old_start = today.fitted.slot_offsets[field], sum(old_sizes[:field])
        np.testing.assert_array_equal(network.table[new_start : new_start + rows], old.table[old_start:][:rows])
        end = new_start + today.fitted.table_sizes[field]
        np.testing.assert_array_equal(network.table[new_start + rows : end], start[new_start + rows : end])
    assert network.table.shape[0] == old.table.shape[0] + 20


def test_a_warm_run_begins_where_the_earlier_one_ended(days, yesterday, today):
    begun = []
    train(today, CONFIG, days / "warm", warm_start=yesterday.path, on_progress=begun.append)
    cold = []
    train(today, CONFIG, days / "cold", on_progress=cold.append)
    first = [next(step.metrics["loss"] for step in steps if "loss" in step.metrics) for steps in (begun, cold)]
    assert first[0] != first[1]
    assert Run.open(days / "warm").seal != Run.open(days / "cold").seal
    with pytest.raises(ConfigError, match="has finished already"):
        train(today, CONFIG, days / "warm", warm_start=yesterday.path, resume=True)


def test_a_run_is_resumed_with_the_same_first_weights_only(days, yesterday, today):
    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(today, CONFIG, days / "stopped", warm_start=yesterday.path, on_progress=stop)
    with pytest.raises(ArtifactError, match="started with other first weights"):
        train(today, CONFIG, days / "stopped", resume=True)
    resumed = train(today, CONFIG, days / "stopped", warm_start=yesterday.path, resume=True)
    whole = train(today, CONFIG, days / "whole", warm_start=yesterday.path)
    assert resumed.metrics["test_log_loss"] == whole.metrics["test_log_loss"]
    networks = [open_network(Run.open(result.path)).weights() for result in (resumed, whole)]
    for name, variable in networks[0].items():
        np.testing.assert_array_equal(variable, networks[1][name])


def test_what_does_not_fit_is_refused(days, yesterday, today):
    other = CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"embedding_dim": 3})})
    with pytest.raises(ConfigError, match=r"`model.embedding_dim` must be that of the run to start from, 4"):
        train(today, other, days / "other", warm_start=yesterday.path)
    fresh = day(days, "fresh", 20)
    with pytest.raises(ArtifactError, match=r"vocabulary of 'b' must begin with the run's"):
        train(fresh, CONFIG, days / "other", warm_start=yesterday.path)
    assert not (days / "other").exists()
    with pytest.raises(ConfigError, match="`grow` needs the vocabularies to grow from"):
        day(days, "nothing", 0, grow=True)
    with pytest.raises(ArtifactError, match=r"is no dataset, run or bundle: it has no schema\.json"):
        day(days, "nothing", 0, vocabulary_from=days)


def test_derived_fields_are_taken_over_too(tmp_path):
    """Edges stay, and the rows of unseen values, which lie behind the values, move with the vocabulary's end."""
    fields = [
        {"name": "part", "column": "n", "bucket": "quantile", "buckets": 3},
        {"name": "b", "unseen_buckets": 4},
        {"name": "hashed", "column": "b", "hash_buckets": 7},
    ]
    schema = Schema.model_validate({**tiny_clicks.SCHEMA.model_dump(), "id_fields": fields})
    days = []
    for name, first, settings in (("one", 0, {}), ("two", 20, {"vocabulary_from": tmp_path / "run", "grow": True})):
        rows = (f"{row % 2}\t{row % 9 + first}\ta\tlong-name-of-{first + row % 40}\n" for row in range(300))
        (tmp_path / f"{name}.tsv").write_text("".join(rows))
        prepare([tmp_path / f"{name}.tsv"], schema, tmp_path / name, split="sequential", **settings)
        days.append(Dataset.open(tmp_path / name))
        if name == "one":
            train(days[0], CONFIG, tmp_path / "run")
    old, new = (day.fitted for day in days)
    assert new.edges == old.edges
    assert (old.table_sizes, new.table_sizes) == ((5, 45, 9), (5, 65, 9))
    network, run = Network(CONFIG.model, new, seed=7, embedding_init_std=0.5), Run.open(tmp_path / "run")
    start, before = network.table.numpy(), open_network(run).table.numpy()
    WarmStart(run, CONFIG, days[1].encoder()).restore(network.weights())
    table = network.table.numpy()
    np.testing.assert_array_equal(table[: 5 + 42], before[: 5 + 42])
    np.testing.assert_array_equal(table[5 + 42 : 5 + 62], start[5 + 42 : 5 + 62])  # new values
    np.testing.assert_array_equal(table[5 + 62 :], before[5 + 42 :])  # unseen rows, and the hashed field
