"""Evaluation by segment, on a dataset and on raw rows."""

import gzip
import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from ctrfast.batch_score import score_files
from ctrfast.data.batches import batches
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.text_keys import hash_bucket
from ctrfast.errors import ConfigError
from ctrfast.evaluate import evaluate
from ctrfast.schema import Schema
from ctrfast.train import train
from tests import tiny_clicks
from tests.command_line import called

FIELD = "C9"


@pytest.fixture(scope="module")
def raw_test(raw_clicks, dataset, tmp_path_factory):
    """The raw rows of the test split, which is the file's end."""
    with gzip.open(raw_clicks, "rt") as file:
        lines = file.readlines()[-dataset.rows("test") :]
    path = tmp_path_factory.mktemp("raw") / "test.tsv"
    path.write_text("".join(lines))
    return path


def test_segments_hold_the_rows_of_their_raw_value(run_path, dataset, raw_test):
    report = evaluate(run_path, [dataset.path], segment=FIELD).segments
    cells = np.array([line.rstrip("\n").split("\t")[13 + 9] for line in raw_test.read_text().splitlines()])
    known = set(dataset.encoder().vocabularies[FIELD].values.to_pylist())
    named = np.array([{"": "<missing>"}.get(cell, cell if cell in known else "<unseen>") for cell in cells])
    counts = dict(zip(*np.unique(named, return_counts=True), strict=True))
    listed = [s for s in report.segments if s.value != "<other>"]
    assert report.values == len(counts)
    assert {s.value: s.rows for s in listed} == {s.value: counts[s.value] for s in listed}
    assert [s.rows for s in listed] == sorted(counts.values(), reverse=True)[: len(listed)]


def test_areas_follow_from_the_scores_of_the_rows(run_path, dataset, tmp_path, raw_test):
    scores_file = tmp_path / "scores.parquet"
    score_files(run_path, [raw_test], scores_file)
    scores = pq.read_table(scores_file)["score"].to_numpy()
    parts = list(batches(dataset, "test", 10**6))
    ids, labels = parts[0].ids[:, dataset.fitted.schema_.id_names.index(FIELD)], parts[0].labels
    local = ids - dataset.fitted.slot_offsets[dataset.fitted.schema_.id_names.index(FIELD)]
    report = evaluate(run_path, [dataset.path], segment=FIELD).segments
    first = report.segments[0]
    assert first.auc == pytest.approx(roc_auc_score(labels[local == first.id], scores[local == first.id]), abs=1e-4)


def test_dataset_and_raw_rows_give_the_same_segments(run_path, dataset, raw_test):
    of_dataset, of_raw = (evaluate(run_path, [data], segment=FIELD).segments for data in (dataset.path, raw_test))
    assert [(s.value, s.id, s.rows, s.label_rate) for s in of_dataset.segments] == [
        (s.value, s.id, s.rows, s.label_rate) for s in of_raw.segments
    ]
    assert of_raw.gauc == pytest.approx(of_dataset.gauc, abs=1e-6)


def test_without_a_field_there_are_no_segments(run_path, dataset):
    assert evaluate(run_path, [dataset.path]).segments is None


def test_an_unknown_field_is_refused_with_near_names(run_path, dataset):
    with pytest.raises(ConfigError, match=r"Unknown id field 'C99'\. Did you mean .*C9") as caught:
        evaluate(run_path, [dataset.path], segment="C99")
    assert caught.value.path == "segment"


def test_the_command_line_prints_segments_as_a_table_and_as_json(run_path, dataset):
    arguments = ("evaluate", run_path, "--data", dataset.path, "--segment", FIELD)
    text = called(*arguments).stdout
    printed = json.loads(called(*arguments, "--json").stdout)
    segments = printed["segments"]["segments"]
    assert printed["metrics"]["rows"] == dataset.rows("test")
    for segment in segments:
        (line,) = [line for line in text.splitlines() if line.startswith(segment["value"])]
        figures = line.split()
        assert figures[1] == f"{segment['rows']:,}"
        assert figures[3] == ("-" if segment["auc"] is None else f"{segment['auc']:.4f}")
    assert f"gauc {printed['segments']['gauc']:.6f}" in text


def test_segments_of_hashed_ids_and_of_all_unseen_rows(tmp_path):
    columns = tiny_clicks.learnable(2000)
    fields = [{"name": "a", "unseen_buckets": 5, "min_count": 20}, {"name": "b", "hash_buckets": 3}]
    schema = Schema.model_validate({**tiny_clicks.SCHEMA.model_dump(), "id_fields": fields})
    raw = tiny_clicks.write_clicks(tmp_path / "clicks.tsv", *columns)
    prepare([raw], schema, tmp_path / "data", split="sequential", test_fraction=0.3)
    dataset = Dataset.open(tmp_path / "data")
    train(dataset, tiny_clicks.settings(epochs=1), tmp_path / "run")
    of_a, of_b = (evaluate(tmp_path / "run", [dataset.path], segment=name).segments for name in "ab")
    in_train, in_test = columns[2][: dataset.rows("train")], columns[2][-dataset.rows("test") :]
    is_rare = np.bincount(in_train, minlength=60)[in_test] < 20
    (unseen,) = (segment for segment in of_a.segments if segment.value == "<unseen>")
    assert (unseen.id, unseen.rows) == (0, is_rare.sum())
    assert unseen.rows > 0
    assert of_a.values == len(np.unique(in_test[~is_rare])) + 1
    buckets = Counter(f"<bucket {hash_bucket(f'b{value}', 3)}>" for value in columns[3][-dataset.rows("test") :])
    assert {segment.value: segment.rows for segment in of_b.segments} == buckets
