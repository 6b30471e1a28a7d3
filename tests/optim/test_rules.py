"""Each optimizer's first two steps by hand-computed numbers, and the trust ratios."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.config import OptimizerConfig
from ctrfast.optim.fields import FieldSlices
from ctrfast.optim.rules import OPTIMIZERS, rule_of
from ctrfast.optim.step_settings import StepSettings
from ctrfast.optim.trust import trust_by_field, trust_fully, trust_of, trust_whole

WEIGHT = [[3.0], [4.0]]  # norm 5


def take(name, gradients, *, trust=trust_whole, rate=0.1, rule=None):
    """The weight and slots after each step."""
    rule = rule or OPTIMIZERS[name]
    weight, slots, seen = tf.constant(WEIGHT), [tf.zeros((2, 1)) for _ in rule.slots], []
    for step, gradient in enumerate(gradients, start=1):
        weight, *slots = rule.update(
            weight, slots, tf.constant(gradient), tf.constant(float(step)), tf.constant(rate), trust
        )
        seen.append([weight.numpy(), *(slot.numpy() for slot in slots)])
    return seen


def test_adam():
    first, second = take("adam", [[[2.0], [-8.0]], [[0.0], [0.0]]])
    np.testing.assert_allclose(first[0], [[2.9], [4.1]], rtol=1e-6)  # one rate in the sign's direction
    np.testing.assert_allclose(second[1], [[0.18], [-0.72]], rtol=1e-5)
    np.testing.assert_allclose(second[2], [[0.003996], [0.063936]], rtol=1e-5)
    # m / (1 - 0.81) over sqrt(v / (1 - 0.998001)): 0.947368... over 1.413859...
    np.testing.assert_allclose(first[0] - second[0], [[0.0670058], [-0.0670058]], rtol=1e-4)


def of_a_run(name, beta_1):
    return rule_of(
        StepSettings(
            lr_dense=1, lr_embed=1, l2=0, clip="none", warmup_steps=0, total_steps=1, optimizer=name, beta_1=beta_1
        )
    )


def test_adam_with_a_shorter_memory():
    first, second = take("adam", [[[2.0], [-8.0]], [[0.0], [0.0]]], rule=of_a_run("adam", 0.5))
    np.testing.assert_allclose(first[0], [[2.9], [4.1]], rtol=1e-6)
    np.testing.assert_allclose(second[1], [[0.5], [-2.0]], rtol=1e-6)
    # m / (1 - 0.25) over sqrt(v / (1 - 0.998001)): 0.666666... over 1.413859...
    np.testing.assert_allclose(first[0] - second[0], [[0.0471523], [-0.0471523]], rtol=1e-4)


@pytest.mark.parametrize("name", ["lamb", "lars"])
def test_the_others_keep_their_own_momentum(name):
    assert of_a_run(name, 0.5) is OPTIMIZERS[name]


def test_lamb_moves_by_the_rate_times_the_norm_of_the_weights():
    first, second = take("lamb", [[[2.0], [-8.0]], [[0.0], [0.0]]])
    # directions 1 and -1, of norm sqrt(2)
    np.testing.assert_allclose(first[0], [[3 - 0.5 / 2**0.5], [4 + 0.5 / 2**0.5]], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(first[0] - second[0]), 0.1 * np.linalg.norm(first[0]), rtol=1e-5)
    np.testing.assert_allclose(second[1], [[0.18], [-0.72]], rtol=1e-5)


def test_lars_scales_the_gradient_and_keeps_its_momentum():
    first, second = take("lars", [[[6.0], [8.0]], [[0.0], [0.0]]], rate=100.0)
    # 100 * 0.001 * 5 / 10 of the gradient
    np.testing.assert_allclose(first[1], [[0.3], [0.4]], rtol=1e-6)
    np.testing.assert_allclose(first[0], [[2.7], [3.6]], rtol=1e-6)
    np.testing.assert_allclose(second[1], [[0.27], [0.36]], rtol=1e-6)
    np.testing.assert_allclose(second[0], [[2.43], [3.24]], rtol=1e-6)


def test_a_layer_that_is_left_out_takes_plain_momentum():
    (first,) = take("lars", [[[6.0], [8.0]]], trust=trust_fully)
    np.testing.assert_allclose(first[0], [[2.4], [3.2]], rtol=1e-6)


@pytest.mark.parametrize("weight, direction", [([[0.0], [0.0]], WEIGHT), (WEIGHT, [[0.0], [0.0]])])
def test_a_norm_of_zero_gives_ratio_one(weight, direction):
    assert float(trust_whole(tf.constant(weight), tf.constant(direction), 0.001)) == 1


def test_biases_are_left_out():
    assert [trust_of(tf.Variable(tf.zeros(shape))) for shape in ((), (3,), (3, 1))] == [
        trust_fully,
        trust_fully,
        trust_whole,
    ]


def test_each_field_has_a_ratio_for_its_embeddings_and_one_for_its_linear_weights():
    weight = tf.constant([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [1.0, 0.0, 6.0]])
    direction = tf.constant([[0.0, 1.0, 5.0], [0.0, 0.0, 1.0], [0.0, 4.0, 2.0]])
    ratios = trust_by_field(FieldSlices([0, 2, 3]))(weight, direction, 0.5)
    np.testing.assert_allclose(ratios, [[2.5, 2.5, 1], [2.5, 2.5, 1], [0.125, 0.125, 1.5]], rtol=1e-6)


def test_the_names_in_the_config_are_the_ones_that_exist():
    for name in OPTIMIZERS:
        assert OptimizerConfig(name=name).name == name
    assert set(OPTIMIZERS) == {"adam", "lamb", "lars"}
