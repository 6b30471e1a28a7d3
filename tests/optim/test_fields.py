"""Sums by field, and the way back, for the whole table and for a list of rows."""

import numpy as np
import tensorflow as tf

from ctrfast.optim.fields import FieldSlices, FieldsOfRows

BOUNDS = [0, 2, 5, 6]


def test_slices_sum_each_field_and_spread_its_value():
    fields = FieldSlices(BOUNDS)
    assert fields.total(tf.constant([1.0, 2, 3, 4, 5, 6])).numpy().tolist() == [3, 12, 6]
    assert fields.spread(tf.constant([7.0, 8, 9])).numpy().tolist() == [7, 7, 8, 8, 8, 9]


def test_a_list_of_rows_leaves_its_filling_out_of_the_sums():
    fields = FieldsOfRows(BOUNDS, tf.constant([5, 0, 4, 2, 0, 0]), tf.constant([1.0, 3, 1, 2, 0, 0]))
    assert fields.total(tf.constant([1.0, 2, 3, 4, 50, 60])).numpy().tolist() == [2, 7, 1]
    assert fields.spread(tf.constant([7.0, 8, 9])).numpy().tolist() == [9, 7, 8, 8, 7, 7]


def test_one_field_is_a_field_too():
    values = tf.constant([1.0, 2, 3])
    for fields in (FieldSlices([0, 3]), FieldsOfRows([0, 3], tf.range(3), tf.ones(3))):
        assert fields.total(values).numpy().tolist() == [6]
        np.testing.assert_array_equal(fields.spread(tf.constant([4.0])), [4, 4, 4])
