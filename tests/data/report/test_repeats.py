import numpy as np

from ctrfast.data.report.repeats import RowIndex, row_hashes


def hashes(*rows):
    """Of rows of (label, number, id)."""
    label, number, ids = zip(*rows, strict=True)
    return row_hashes([np.array(label, np.int8), np.array(number, np.float32), np.array(ids, np.int32)])


def test_rows_differ_by_each_column_and_by_the_order_of_columns():
    rows = [(0, 0.5, 1), (1, 0.5, 1), (0, 0.25, 1), (0, 0.5, 2), (0, -0.5, 1)]
    assert len(np.unique(hashes(*rows))) == len(rows)
    one, two = np.array([1], np.int32), np.array([2], np.int32)
    assert row_hashes([one, two]) != row_hashes([two, one])
    assert row_hashes([one]) != row_hashes([one, one * 0])


def test_the_two_zeros_are_one_number():
    assert hashes((0, 0.0, 1)) == hashes((0, -0.0, 1))


def test_no_two_of_a_million_rows_share_a_hash():
    ids = np.arange(1_000_000)
    found = row_hashes([np.zeros(len(ids), np.int8), (ids % 1000).astype(np.int32), (ids // 1000).astype(np.int32)])
    assert len(np.unique(found)) == len(ids)


def test_a_known_number_of_rows_is_found():
    index = RowIndex(rows=6)
    index.add(hashes((0, 1, 1), (0, 1, 1), (1, 2, 2)))
    index.add(hashes((0, 1, 1), (0, 9, 9), (1, 3, 3)))
    index.close()
    index.mark(index.find(hashes((0, 1, 1), (5, 5, 5), (0, 1, 1))))
    index.mark(index.find(hashes((1, 3, 3), (1, 7, 7))))
    index.mark(index.find(hashes((0, 1, 1))))
    assert (index.found(), index.checked, index.capped) == (4, 6, False)


def test_nothing_in_common_and_nothing_at_all():
    index = RowIndex(rows=2)
    index.add(hashes((0, 1, 1), (0, 2, 2)))
    index.close()
    index.mark(index.find(hashes((0, 3, 3))))
    assert index.found() == 0
    empty = RowIndex(rows=0)
    empty.close()
    empty.mark(empty.find(hashes((0, 3, 3))))
    assert (empty.found(), empty.checked, empty.capped) == (0, 0, False)


def test_a_long_split_is_looked_at_in_part():
    index = RowIndex(rows=5, most_rows=3)
    index.add(hashes((0, 1, 1), (0, 2, 2)))
    index.add(hashes((0, 3, 3), (0, 4, 4), (0, 5, 5)))
    index.close()
    index.mark(index.find(hashes((0, 3, 3), (0, 4, 4))))
    assert (index.found(), index.checked, index.capped) == (1, 3, True)
