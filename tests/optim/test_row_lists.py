"""Lists of sums by row: against numpy, and the way there and back."""

import numpy as np
import tensorflow as tf

from ctrfast.optim.row_lists import packed, summed_by_row, unpacked


def test_equal_rows_are_added_up_in_the_order_of_their_first():
    rng = np.random.default_rng(4)
    rows, values = rng.integers(0, 50, 300).astype(np.int32), rng.normal(size=(300, 5)).astype(np.float32)
    present, sums = summed_by_row(tf.constant(rows), tf.constant(values), 1)
    _, first = np.unique(rows, return_index=True)
    np.testing.assert_array_equal(present, rows[np.sort(first)])
    expected = np.stack([values[rows == row].astype(np.float64).sum(axis=0) for row in present.numpy()])
    np.testing.assert_allclose(sums, expected, atol=1e-5)


def test_sums_are_padded_to_whole_pieces():
    present, sums = summed_by_row(tf.constant([7, 2, 7]), tf.ones((3, 1)), 4)
    assert present.numpy().tolist() == [7, 2]
    assert sums.numpy().tolist() == [[2], [1], [0], [0]]


def test_lists_of_a_length_that_differs_are_summed_alike():
    spec = (tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None, 1), tf.float32))
    summed = tf.function(lambda rows, values: summed_by_row(rows, values, 4), input_signature=spec, autograph=False)
    for rows in ([7, 2, 7, 3, 7], [0, 2], [1] * 8):
        present, sums = summed(tf.constant(rows), tf.ones((len(rows), 1)))
        assert present.numpy().tolist() == list(dict.fromkeys(rows))
        expected = [rows.count(row) for row in dict.fromkeys(rows)]
        assert sums.numpy()[:, 0].tolist() == expected + [0] * (4 - len(expected))


def test_every_row_number_comes_back():
    """Also those whose bits are those of a float that is not a number, or of one too small to calculate with."""
    rows = np.array([0, 1, 7, 1_067_397, 0x7F800001, 2**31 - 1], np.int32)
    sums = np.random.default_rng(4).normal(size=(6, 3)).astype(np.float32)
    lists = tf.function(packed)(tf.constant(rows), tf.constant(sums))
    assert lists.shape == (6, 4)
    back, values = tf.function(unpacked)(tf.concat((lists, lists), axis=0))
    np.testing.assert_array_equal(back, np.tile(rows, 2))
    np.testing.assert_array_equal(values, np.tile(sums, (2, 1)))
