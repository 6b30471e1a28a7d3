"""Each clip by hand-computed numbers, on two fields of 2 and 1 rows."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.config import ADAPTIVE_CLIPS, CONSTANT_CLIPS
from ctrfast.optim.clip import CLIPS, Embeddings, bind_clip
from ctrfast.optim.fields import FieldSlices

GRADIENTS = [[3.0, 4.0], [0.0, 12.0], [0.0, 84.0]]  # norms 5, 12, 84: of the fields 13, 84; of all 85
ROWS = [[0.0, 3.0], [4.0, 0.0], [0.0, 0.0]]  # norms 3, 4, 0: of the fields 5, 0
COUNTS = [4.0, 0.0, 2.0]


def clip(name, **options):
    values = {"clip_ratio": None, "bound": None, "clip_norm": None} | options
    arrays = (tf.constant(array) for array in (GRADIENTS, ROWS, COUNTS))
    factors, was_clipped = bind_clip(name, **values)(Embeddings(*arrays, FieldSlices([0, 2, 3])))
    assert factors.shape == was_clipped.shape == (3,)
    assert was_clipped.numpy().tolist() == (factors.numpy() < 1).tolist()
    return factors.numpy().tolist()


@pytest.mark.parametrize(
    "name, options, expected",
    [
        ("none", {}, [1, 1, 1]),
        ("global", {"clip_norm": 17.0}, [0.2, 0.2, 0.2]),
        ("global", {"clip_norm": 86.0}, [1, 1, 1]),
        ("field", {"clip_norm": 6.5}, [0.5, 0.5, 6.5 / 84]),
        ("field", {"clip_norm": 20.0}, [1, 1, 20 / 84]),
        ("column", {"clip_norm": 1.0}, [4 / 5, 1 / 12, 2 / 84]),  # an absent row counts as one
        ("adaptive_field", {"clip_ratio": 1.0, "bound": 1e-5}, [5 / 13, 5 / 13, 2**0.5 * 1e-5 / 84]),
        ("adaptive_field", {"clip_ratio": 0.5, "bound": 100.0}, [1, 1, 0.5 * 0.5 * 2**0.5 * 100 / 84]),
        ("adaptive_column", {"clip_ratio": 0.25, "bound": 1e-5}, [4 * 0.75 / 5, 1 / 12, 2 * 2**0.5 * 1e-5 / 16 / 84]),
    ],
)
def test_factors(name, options, expected):
    np.testing.assert_allclose(clip(name, **options), expected, rtol=1e-6)


@pytest.mark.parametrize("name", CLIPS)
def test_no_gradient_is_no_division_by_zero(name):
    zeros = tf.zeros((2, 3))
    bound_clip = bind_clip(name, clip_ratio=1.0, bound=1e-5, clip_norm=1.0)
    factors, was_clipped = bound_clip(Embeddings(zeros, zeros, tf.zeros(2), FieldSlices([0, 1, 2])))
    assert factors.numpy().tolist() == [1, 1]
    assert not was_clipped.numpy().any()


def test_the_names_in_the_config_are_the_ones_that_exist():
    assert set(CLIPS) == {"none", *ADAPTIVE_CLIPS, *CONSTANT_CLIPS}
