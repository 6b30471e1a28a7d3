import math

import numpy as np
import pytest

from ctrfast.data.buckets import bucket_numbers, bucket_texts, quantile_edges
from ctrfast.schema import IdField

LOGS = IdField(name="b", column="n", bucket="log_squared")
QUANTILES = IdField(name="b", column="n", bucket="quantile", buckets=4)


def texts(values, field=LOGS, edges=None):
    return bucket_texts(bucket_numbers(np.array(values, np.float64), field, edges))


def test_log_squared_is_that_of_the_benchmarks():
    counts = range(3, 200_000)
    assert texts(counts) == [str(math.floor(math.log(count) ** 2)) for count in counts]
    assert texts([2, 1, 0, -1, -2, -40]) == ["2", "1", "0", "-1", "-2", "-40"]


def test_log_squared_of_fractions_huge_and_missing_numbers():
    assert texts([2.5, 1.9, -0.5, -1.5, np.nan]) == ["0", "1", "0", "-1", None]
    assert texts([3.4e38, 1e20]) == [str(math.floor(math.log(x) ** 2)) for x in (3.4e38, 1e20)]
    assert texts([-1e20]) == ["-100000000000000000000"]


def test_quantile_edges_cut_rows_into_equal_parts():
    edges = quantile_edges(np.arange(100.0), 4)
    np.testing.assert_allclose(edges, np.quantile(np.arange(100.0), [0.25, 0.5, 0.75]))
    numbers = bucket_numbers(np.arange(100.0), QUANTILES, edges)
    assert np.bincount(numbers.astype(int)).tolist() == [25, 25, 25, 25]
    assert texts([-1e9, edges[0], 1e9, np.nan], QUANTILES, edges) == ["0", "1", "3", None]


def test_repeated_numbers_give_fewer_edges():
    assert quantile_edges(np.array([0.0] * 90 + [5.0] * 10), 4).tolist() == [0.0]
    assert quantile_edges(np.full(7, 3.5), 4).tolist() == [3.5]
    assert texts([1.0, np.nan], QUANTILES, quantile_edges(np.empty(0), 4)) == ["0", None]


def test_a_quantile_field_needs_its_edges():
    with pytest.raises(ValueError, match="edges of b are needed"):
        texts([1.0], QUANTILES)
