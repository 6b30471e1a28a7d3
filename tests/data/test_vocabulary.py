from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ctrfast.data.vocabulary import ValueCounter, Vocabulary, hash_vocabularies
from ctrfast.errors import ArtifactError


def fit(texts, min_count=1):
    counter = ValueCounter()
    for start in range(0, len(texts), 3):  # in pieces, with repeats between them
        counted = Counter(texts[start : start + 3])
        counter.add(pa.array(list(counted), pa.string()), np.array(list(counted.values())))
    return Vocabulary.fit(counter.table(), min_count)


TEXTS = ["b", "a", "c", "b", "é", "a", "Z", "b"]


def test_ids_fall_with_the_count_and_ties_go_by_text():
    vocabulary = fit(TEXTS)
    assert vocabulary.values.to_pylist() == ["b", "a", "Z", "c", "é"]
    assert vocabulary.counts.to_pylist() == [3, 2, 1, 1, 1]
    assert vocabulary.encode(pa.array(["b", None, "new", "é"])).tolist() == [2, 1, 0, 6]


def test_rare_values_share_the_unseen_id():
    vocabulary = fit(TEXTS, min_count=2)
    assert vocabulary.encode(pa.array(["a", "c", None])).tolist() == [3, 0, 1]
    assert len(fit(TEXTS, min_count=9)) == 0
    assert fit(TEXTS, min_count=9).encode(pa.array(["a", None])).tolist() == [0, 1]


def test_few_and_many_values_are_encoded_alike():
    vocabulary = fit([f"v{row % 97}" for row in range(1000)])
    texts = [None, "v3", "x", *(f"v{row}" for row in range(120))]
    many = vocabulary.encode(pa.array(texts))
    few = np.concatenate([vocabulary.encode(pa.array([text], pa.string())) for text in texts])
    assert many.dtype == few.dtype == np.int32
    np.testing.assert_array_equal(many, few)


def test_counts_are_merged_when_many_are_pending(monkeypatch):
    monkeypatch.setattr("ctrfast.data.vocabulary._MERGE_AT", 4)
    texts = [f"v{row * row % 23}" for row in range(200)]
    vocabulary = fit(texts)
    assert dict(zip(vocabulary.values.to_pylist(), vocabulary.counts.to_pylist(), strict=True)) == Counter(texts)


def test_files_round_trip_and_are_plain_parquet(tmp_path):
    vocabulary = fit(TEXTS)
    vocabulary.save(tmp_path / "f.parquet")
    again = Vocabulary.load(tmp_path / "f.parquet")
    assert hash_vocabularies({"f": again}) == hash_vocabularies({"f": vocabulary})
    assert pq.read_table(tmp_path / "f.parquet").to_pylist()[0] == {"value": "b", "count": 3, "id": 2}


def test_the_hash_tells_values_counts_names_and_borders_apart():
    def hash_of(values, counts, name="f"):
        return hash_vocabularies({name: Vocabulary(pa.array(values), pa.array(counts))})

    hashes = {hash_of(["ab", "c"], [1, 1]), hash_of(["a", "bc"], [1, 1]), hash_of(["ab", "c"], [2, 1])}
    assert len(hashes | {hash_of(["ab", "c"], [1, 1], "g")}) == 4


def test_a_file_that_is_no_vocabulary_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"vocabulary/f\.parquet cannot be read"):
        Vocabulary.load(tmp_path / "f.parquet")
    ids = pa.array([2, 4], pa.int32())
    pq.write_table(pa.table({"value": ["a", "b"], "count": [2, 1], "id": ids}), tmp_path / "f.parquet")
    with pytest.raises(ArtifactError, match="must count its ids from 2"):
        Vocabulary.load(tmp_path / "f.parquet")
