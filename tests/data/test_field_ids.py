"""Hashed ids, and several rows for unseen values: in columns, in single rows, and as prepared."""

import numpy as np
import pyarrow as pa
import pytest

from ctrfast.data.cells import Cells
from ctrfast.data.field_ids import FieldIds
from ctrfast.data.keys import keys_of
from ctrfast.data.text_keys import hash_bucket
from ctrfast.data.text_table import TextTable
from ctrfast.data.vocabulary import Vocabulary
from ctrfast.schema import IdField

TEXTS = ["a", None, *(f"new-{number}" for number in range(50)), "b", "a"]
KEPT = Vocabulary.fit(pa.array(["a", "b"]), np.array([5, 3]))
NONE = Vocabulary.fit(pa.array([], pa.string()), np.empty(0, np.int64))


def both_ways(field_ids):
    table = TextTable([field_ids.vocabulary.values])
    by_text = field_ids.of_texts(TEXTS, lambda texts: table.find(texts, np.zeros(len(texts), int)).tolist())
    assert field_ids.of_keys(keys_of(Cells.of(pa.array(TEXTS)))).tolist() == by_text
    return by_text


def test_hash_buckets_need_no_vocabulary():
    field_ids = FieldIds(IdField(name="f", hash_buckets=7), NONE)
    expected = [1 if text is None else 2 + hash_bucket(text, 7) for text in TEXTS]
    assert both_ways(field_ids) == expected
    assert set(expected) == set(range(1, 9))
    assert field_ids.rows.size == 9
    assert not field_ids.rows.is_unseen(np.array(expected)).any()
    assert field_ids.value_of(4) == "<bucket 2>"


@pytest.mark.parametrize("buckets", [1, 2, 5])
def test_unseen_values_share_rows_by_their_hash(buckets):
    field_ids = FieldIds(IdField(name="f", unseen_buckets=buckets), KEPT)
    ids = both_ways(field_ids)
    assert (ids[0], ids[1], ids[-2], ids[-1]) == (2, 1, 3, 2)
    for text, local in zip(TEXTS[2:-2], ids[2:-2], strict=True):
        bucket = hash_bucket(text, buckets)
        assert local == (3 + bucket if bucket else 0)  # 2 and 3 are the kept values
    rows = field_ids.rows
    assert rows.size == 4 + buckets - 1
    assert set(ids) == set(range(rows.size))
    assert rows.is_unseen(np.array(ids)).tolist() == [False, False, *[True] * 50, False, False]
    assert set(rows.folded(np.array(ids, np.int32)).tolist()) == {0, 1, 2, 3}
    assert field_ids.value_of(3) == "b"
