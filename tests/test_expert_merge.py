"""Merging experts, against closed forms."""

import numpy as np
import pytest

from ctrfast.expert_merge import merge_experts


def experts(E=3, H=6, H2=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(E, H, H2)), rng.normal(size=(E, H2)), rng.uniform(size=E)


def test_with_all_directions_it_is_the_weighted_sum():
    kernels, biases, gates = experts()
    kernel, bias = merge_experts(kernels, biases, gates, rank=5)
    np.testing.assert_allclose(kernel, np.einsum("e,ehk->hk", gates, kernels), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(bias, np.einsum("e,ek->k", gates, biases), rtol=1e-5, atol=1e-6)


def test_each_expert_gives_the_direction_in_which_it_does_most():
    kernels = np.array([np.diag([3.0, 1.0]), np.diag([1.0, 5.0])])
    kernel, _ = merge_experts(kernels, np.zeros((2, 2)), np.array([0.5, 0.2]))
    np.testing.assert_allclose(kernel, np.diag([1.5, 1.0]), atol=1e-7)


@pytest.mark.parametrize("E, H, H2, rank", [(2, 6, 8, 6), (3, 8, 5, 5), (4, 9, 9, 9)])
def test_the_layer_has_as_many_directions_as_it_can(E, H, H2, rank):
    kernel, _ = merge_experts(*experts(E, H, H2))
    assert np.linalg.matrix_rank(kernel, tol=1e-4) == rank


def test_an_expert_that_no_row_takes_leaves_nothing():
    kernels, biases, gates = experts()
    gates[1] = 0
    moved = kernels.copy()
    moved[1] += 9
    for mine, other in zip(merge_experts(kernels, biases, gates), merge_experts(moved, biases, gates), strict=True):
        np.testing.assert_array_equal(mine, other)
