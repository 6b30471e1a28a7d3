from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.vocabulary import Vocabulary, hash_vocabularies
from ctrfast.errors import ArtifactError


def fit(texts):
    counted = Counter(texts)
    return Vocabulary.fit(pa.array(list(counted), pa.string()), np.array(list(counted.values()), np.int64))


TEXTS = ["b", "a", "c", "b", "é", "a", "Z", "b"]


def test_ids_fall_with_the_count_and_ties_go_by_text():
    vocabulary = fit(TEXTS)
    assert vocabulary.values.to_pylist() == ["b", "a", "Z", "c", "é"]
    assert vocabulary.counts.to_pylist() == [3, 2, 1, 1, 1]
    assert vocabulary.encode(pa.array(["b", None, "new", "é"])).tolist() == [2, 1, 0, 6]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), max_size=30))
def test_ties_go_by_the_bytes_of_the_text(texts):
    texts += [text[:8] + "tail" for text in texts] + [text + "\0" for text in texts]
    expected = sorted(Counter(texts).items(), key=lambda item: (-item[1], item[0].encode()))
    vocabulary = fit(texts)
    assert list(zip(vocabulary.values.to_pylist(), vocabulary.counts.to_pylist(), strict=True)) == expected
    ids = vocabulary.encode(pa.array([text for text, _ in expected], pa.string()))
    assert ids.tolist() == list(range(2, len(expected) + 2))


def test_an_empty_vocabulary_knows_nothing():
    assert len(fit([])) == 0
    assert fit([]).encode(pa.array(["a", None])).tolist() == [0, 1]


def test_files_round_trip_and_are_plain_parquet(tmp_path):
    vocabulary = fit(TEXTS)
    vocabulary.save(tmp_path / "f.parquet")
    again = Vocabulary.load(tmp_path / "f.parquet")
    assert again.hash == vocabulary.hash
    assert pq.read_table(tmp_path / "f.parquet").to_pylist()[0] == {"value": "b", "count": 3, "id": 2}


def test_the_hash_tells_values_counts_names_and_borders_apart():
    def hash_of(values, counts, name="f"):
        return hash_vocabularies({name: Vocabulary(pa.array(values), pa.array(counts)).hash})

    hashes = {hash_of(["ab", "c"], [1, 1]), hash_of(["a", "bc"], [1, 1]), hash_of(["ab", "c"], [2, 1])}
    assert len(hashes | {hash_of(["ab", "c"], [1, 1], "g")}) == 4


def test_a_file_that_is_no_vocabulary_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"vocabulary/f\.parquet cannot be read"):
        Vocabulary.load(tmp_path / "f.parquet")
    ids = pa.array([2, 4], pa.int32())
    pq.write_table(pa.table({"value": ["a", "b"], "count": [2, 1], "id": ids}), tmp_path / "f.parquet")
    with pytest.raises(ArtifactError, match="must count its ids from 2"):
        Vocabulary.load(tmp_path / "f.parquet")
