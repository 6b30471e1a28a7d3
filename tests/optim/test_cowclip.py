"""The clip by hand-computed numbers."""

import numpy as np
import pytest

from ctrfast.optim.cowclip import clip_factors


@pytest.mark.parametrize(
    "gradient, row, count, ratio, bound, factor",
    [
        ([3, 4], [0.6, 0.8], 2, 1.0, 1e-5, 0.4),  # limit 2 * 1 over norm 5
        ([3, 4], [0.6, 0.8], 0, 1.0, 1e-5, 0.2),  # an absent row counts as one
        ([3, 4], [0.0, 0.0], 1, 1.0, 0.5, 0.5 * 2**0.5 / 5),  # the floor, sqrt(D) * bound
        ([3, 4], [0.0, 0.0], 1, 0.1, 0.5, 0.1 * 0.1 * 0.5 * 2**0.5 / 5),  # ratio enters the floor twice
        ([3, 4], [30, 40], 1, 1.0, 1e-5, 1.0),  # within the limit
        ([0, 0], [0, 0], 1, 1.0, 1e-5, 1.0),
    ],
)
def test_factor(gradient, row, count, ratio, bound, factor):
    arrays = (np.array([gradient], np.float32), np.array([row], np.float32), np.array([count], np.float32))
    factors, was_clipped = clip_factors(*arrays, ratio=ratio, bound=bound)
    np.testing.assert_allclose(factors, [factor], rtol=1e-6)
    assert was_clipped.numpy().tolist() == [factor < 1]


def test_wide_rows_take_the_same_norm_as_narrow_ones():
    rng = np.random.default_rng(0)
    gradients, rows = rng.normal(size=(2, 5, 200)).astype(np.float32)
    counts = np.ones(5, np.float32)
    norm, row_norm = np.linalg.norm(gradients, axis=1), np.linalg.norm(rows, axis=1)
    factors, _ = clip_factors(gradients, rows, counts, ratio=0.5, bound=1e-5)
    np.testing.assert_allclose(factors, np.minimum(1, 0.5 * row_norm / norm), rtol=1e-5)
