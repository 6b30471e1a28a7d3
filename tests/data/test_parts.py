"""Several readers of one pass: each row goes to one of them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrfast.data.batches import Shuffle, batches
from ctrfast.data.row_groups import WHOLE, Part, RowGroup, groups_of_part


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 9))
def test_each_row_of_the_groups_falls_to_one_part(sizes, count):
    groups = [RowGroup(Path("shard"), index, rows, 0, None) for index, rows in enumerate(sizes)]
    parts = [groups_of_part(groups, Part(index, count)) for index in range(count)]
    got = [(g.index, g.skip + row) for part in parts for g in part for row in range(g.rows)]
    assert got == [(g.index, row) for g in groups for row in range(g.rows)]
    rows = [sum(group.rows for group in part) for part in parts]
    assert max(rows) - min(rows) <= 1
    assert sum(map(len, parts)) <= len(groups) + count - 1  # a group is read twice only where a part begins in it
    assert groups_of_part(groups, WHOLE) == groups


@given(st.integers(1, 10_000), st.integers(1, 8), st.integers(1, 200))
def test_each_part_has_the_whole_batches_of_the_pass(rows, count, share):
    groups = [RowGroup(Path("shard"), 0, rows, 0, None)]
    of_parts = [sum(g.rows for g in groups_of_part(groups, Part(index, count))) // share for index in range(count)]
    assert min(of_parts) == rows // (count * share)


@pytest.mark.parametrize("count", [2, 3])
def test_the_parts_of_a_shuffled_pass_have_each_row_once(dataset, count):
    def rows(part):
        shuffle = Shuffle(seed=(1, 0), rows=700)
        got = list(batches(dataset, "train", 64, shuffle=shuffle, part=part))
        return [
            (*ids, *numbers, label) for b in got for ids, numbers, label in zip(b.ids, b.numbers, b.labels, strict=True)
        ]

    parts = [rows(Part(index, count)) for index in range(count)]
    assert sorted(row for part in parts for row in part) == sorted(rows(WHOLE))
    assert [len(part) for part in parts] == [dataset.rows("train") // count] * count


def test_a_part_goes_on_where_it_stood(dataset):
    def labels_and_ids(skip):
        part = batches(dataset, "train", 64, shuffle=Shuffle((1, 0), 300), skip=skip, part=Part(1, 2))
        return [np.column_stack([b.labels, b.ids]) for b in part]

    for mine, other in zip(labels_and_ids(7), labels_and_ids(0)[7:], strict=True):
        np.testing.assert_array_equal(mine, other)
