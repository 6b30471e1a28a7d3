"""Live rows against the training rows: counts by a plain oracle, the index by its formula, hours by a set clock."""

import math
import threading
from collections import Counter

import numpy as np
import pytest

from ctrfast.bundle import Bundle
from ctrfast.data.batches import batches
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.drift import LiveTally
from ctrfast.errors import ArtifactError
from ctrfast.reference import ID_BINS, REST, Bins, Reference, reference_of
from ctrfast.schema import MISSING_ID, UNSEEN_ID, IdField, NumericField, Schema
from ctrfast.score import Scorer
from tests import list_clicks, tiny_clicks

SCHEMA = Schema(
    name="drift",
    columns=("label", "n", "user", "url"),
    label="label",
    numeric_fields=(NumericField(name="n"),),
    id_fields=(IdField(name="user", min_count=2), IdField(name="url", hash_buckets=50)),
)


def rows_of(count, seed, *, shift=0.0, spread=400):
    rng = np.random.default_rng(seed)
    users = np.minimum(rng.geometric(0.02, count), spread) + int(shift * 30)
    numbers = rng.normal(shift, 1, count)
    known = rng.random(count) > 0.1
    urls = rng.integers(0, 30, count)
    labels = rng.random(count) < 0.4
    return [
        (str(int(y)), f"{n:.4f}" if k else "", f"u{u}" if k else "", f"w{w}")
        for y, n, k, u, w in zip(labels, numbers, known, users, urls, strict=True)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("drift")


@pytest.fixture(scope="module")
def clicks(folder):
    raw = list_clicks.write_clicks(folder / "drift.tsv", rows_of(12_000, 1))
    prepare([raw], SCHEMA, folder / "dataset", valid_fraction=0.2, test_fraction=0.2)
    return Dataset.open(folder / "dataset")


@pytest.fixture(scope="module")
def reference(clicks):
    return reference_of(clicks)


def encoded(clicks, rows):
    names = SCHEMA.columns
    return clicks.encoder().encode_rows([dict(zip(names, row, strict=True)) for row in rows])


def drift_of(tally):
    return {field.name: field for field in tally.report().fields}


def split_rows(clicks, split):
    batch = next(batches(clicks, split, 100_000))
    return batch, batch.ids - np.asarray(clicks.fitted.slot_offsets, np.int32)


def test_the_reference_counts_the_training_rows(clicks, reference):
    batch, local = split_rows(clicks, "train")
    _, later = split_rows(clicks, "valid")
    users = Counter(local[:, 0].tolist())
    best = [id_ for id_, _ in users.most_common() if id_ > MISSING_ID][:100]
    counts = reference.counts["user"]
    assert len(counts) == ID_BINS
    assert sum(counts) == len(batch) == clicks.rows("train")
    assert counts[MISSING_ID] == users[MISSING_ID]
    assert sorted(counts[2:REST], reverse=True)[:50] == [users[id_] for id_ in best[:50]]
    assert counts[UNSEEN_ID] == round(len(batch) * float((later[:, 0] == UNSEEN_ID).mean()))
    assert counts[UNSEEN_ID] != users[UNSEEN_ID]
    missing = clicks.split("train").missing_numbers["n"]
    assert reference.counts["n"][0] == missing
    assert np.ptp(reference.counts["n"][1:]) <= 5  # ten parts of equal size
    assert reference.counts["url"][UNSEEN_ID] == reference.counts["url"][REST] == 0
    assert len(reference.top["url"]) == len(set(local[:, 1].tolist()))


def test_the_index_is_that_of_the_formula(clicks, reference):
    rows = rows_of(3000, 5, shift=0.3)
    tally = LiveTally(reference, clicks.fitted)
    for start in range(0, 3000, 700):  # small and large calls count alike
        part = encoded(clicks, rows[start : start + 700])
        tally.add(part.ids, part.numbers)
    for row in rows[:40]:
        part = encoded(clicks, [row])
        tally.add(part.ids, part.numbers)
    live = encoded(clicks, rows + rows[:40])
    found = drift_of(tally)
    assert tally.report().rows == 3040

    place = {id_: 2 + i for i, id_ in enumerate(reference.top["user"])} | {UNSEEN_ID: 0, MISSING_ID: 1}
    by_user = Counter(place.get(id_, REST) for id_ in live.ids[:, 0].tolist())
    is_missing = np.array([row[1] == "" for row in rows + rows[:40]])
    parts = 1 + np.searchsorted(np.array(reference.edges["n"], np.float32), live.numbers[:, 0], side="right")
    by_number = Counter(np.where(is_missing, 0, parts).tolist())
    for name, counts in (("user", by_user), ("n", by_number)):
        bins = [(p, counts[b]) for b, p in enumerate(reference.counts[name]) if p or counts[b]]
        P, Q = (sum(side) + 0.5 * len(bins) for side in zip(*bins, strict=True))
        expected = sum(((q + 0.5) / Q - (p + 0.5) / P) * math.log(((q + 0.5) / Q) / ((p + 0.5) / P)) for p, q in bins)
        assert found[name].psi == pytest.approx(expected, abs=2e-6)
    assert found["n"].missing == pytest.approx(is_missing.mean())
    assert found["user"].unseen == pytest.approx((live.ids[:, 0] == UNSEEN_ID).mean())


def test_rows_like_the_training_rows_do_not_drift_and_others_do(clicks, reference):
    alike, shifted, few = (LiveTally(reference, clicks.fitted) for _ in range(3))
    for tally, rows in ((alike, rows_of(6000, 8)), (shifted, rows_of(6000, 9, shift=1.0)), (few, rows_of(50, 9))):
        part = encoded(clicks, rows)
        tally.add(part.ids, part.numbers)
    for field in drift_of(alike).values():
        assert field.psi < field.psi_chance < 0.1
        assert field.reading == "none"
        assert field.values == 6000
    moved = drift_of(shifted)
    assert moved["user"].reading == moved["n"].reading == "large"
    assert moved["n"].psi > 0.5
    assert moved["url"].reading == "none"
    assert drift_of(few)["user"].reading == "too_few_rows"
    assert drift_of(LiveTally(reference, clicks.fitted))["n"].reading == "too_few_rows"
    assert drift_of(LiveTally(reference, clicks.fitted))["n"].missing is None


def test_hours_pass(clicks, reference):
    now = [1_000_000 * 3600.0]
    tally = LiveTally(reference, clicks.fitted, clock=lambda: now[0])
    part = encoded(clicks, rows_of(10, 3))

    def after(hours):
        now[0] += hours * 3600
        return tally.report().rows

    tally.add(part.ids, part.numbers)
    assert after(1) == 10
    tally.add(part.ids, part.numbers)
    assert [after(0), after(22), after(1), after(0.999), after(1)] == [20, 20, 10, 10, 0]
    assert all(field.values == 0 for field in tally.report().fields)
    tally.add(part.ids, part.numbers)
    assert after(-5) == 10  # a clock that is set back
    tally.add(part.ids, part.numbers)
    assert [after(0), after(5), after(1000)] == [20, 20, 0]


def test_threads_lose_nothing(clicks, reference):
    tally = LiveTally(reference, clicks.fitted)
    part = encoded(clicks, rows_of(3, 3))
    threads = [
        threading.Thread(target=lambda: [tally.add(part.ids, part.numbers) for _ in range(300)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.report().rows == 3 * 300 * 8
    assert {field.values for field in tally.report().fields} == {3 * 300 * 8}


def test_lists_count_their_values_and_no_padding(folder):
    dataset = list_clicks.make_dataset(folder, list_clicks.learnable(600), "lists")
    tally = LiveTally(reference_of(dataset), dataset.fitted)
    rows = [{"history": "item-1|item-2|item-9", "item": "never"}, {"history": "item-3", "tags": "t1, t2"}, {}]
    part = dataset.encoder().encode_rows(rows)
    tally.add(part.ids, part.numbers)
    found = drift_of(tally)
    assert (found["history"].values, found["history"].missing) == (5, 1 / 5)
    assert (found["item"].values, found["item"].unseen, found["item"].missing) == (3, 1 / 3, 2 / 3)
    assert (found["tags"].values, found["tags"].missing) == (4, 2 / 4)
    assert found["n"].missing == 1


def test_left_out_negatives_are_counted_again(folder):
    raw = list_clicks.write_clicks(folder / "sampled.tsv", rows_of(6000, 2))
    prepare([raw], SCHEMA, folder / "sampled", negative_rate=0.25)
    dataset = Dataset.open(folder / "sampled")
    train = dataset.split("train")
    total = sum(reference_of(dataset).counts["n"])
    assert total == pytest.approx(train.positives + 4 * (train.rows - train.positives), abs=11)


def test_a_run_hands_it_to_its_bundle(run_path, bundle_path, clicks, tmp_path):
    bundle = Bundle.open(bundle_path)
    stored = bundle.reference()
    assert stored == Reference.load(run_path / "reference.json")
    scorer = Scorer.load(bundle_path)
    tally = LiveTally(stored, scorer.encoder.fitted)
    part = scorer.encoder.encode_rows([{}])
    tally.add(part.ids, part.numbers)
    assert all(field.missing == 1 for field in tally.report().fields)
    assert Bundle(bundle_path, {"files": {}}).reference() is None  # one that was exported before

    with pytest.raises(ArtifactError, match="not of the model's schema"):
        Bins(stored, clicks.fitted)
    broken = tmp_path / "reference.json"
    for text in ("{}", "no", '{"top": {}, "edges": {"n": [null]}, "counts": {}}'):
        broken.write_text(text)
        with pytest.raises(ArtifactError, match="cannot be read as a model's reference"):
            Reference.load(broken)
    beyond = reference_of(clicks).model_copy(update={"top": {"user": (10**6,), "url": ()}})
    with pytest.raises(ArtifactError, match="does not hold"):
        Bins(beyond, clicks.fitted)


def test_a_schema_without_numbers_and_a_split_without_rows(folder):
    labels, _, a, b = tiny_clicks.learnable(300)
    raw = folder / "ids.tsv"
    raw.write_text("".join(f"{y}\t{x}\t{z}\n" for y, x, z in zip(labels, a, b, strict=True)))
    schema = Schema(
        name="ids", columns=("label", "a", "b"), label="label", id_fields=(IdField(name="a"), IdField(name="b"))
    )
    prepare([raw], schema, folder / "ids", valid_fraction=0, test_fraction=0)
    dataset = Dataset.open(folder / "ids")
    tally = LiveTally(reference_of(dataset), dataset.fitted)
    batch, local = split_rows(dataset, "train")
    tally.add(local, batch.numbers)
    assert [field.psi for field in tally.report().fields] == [0, 0]
