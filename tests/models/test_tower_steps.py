"""Steps of networks with towers are the same however they are run: in place, or compiled."""

import numpy as np
import tensorflow as tf

from ctrfast.model_config import ModelConfig
from ctrfast.models import build_model
from ctrfast.step import Execution, make_step
from tests.models.step_settings import STEP

SIZES, D, N, B = [5, 40], 3, 2, 36
MOE = {"name": "moe", "experts": 3, "norm": "batch", "balance": 0.3}
MICRO = 20  # the second micro-batch is smaller


def after_steps(execution, tower, precision="float32"):
    """What is in a network after three steps, by place."""
    rng = np.random.default_rng(0)
    config = ModelConfig(name="deepfm", embedding_dim=D, hidden=(6, 5, 4), tower=tower)
    model = build_model(config, id_fields=len(SIZES), numeric_fields=N, seed=1)
    table = tf.Variable(rng.normal(0, 0.5, (sum(SIZES), D + 1)).astype(np.float32))
    step = make_step(model, table, [0, SIZES[0]], STEP, batch_size=B, execution=execution, precision=precision)
    for _ in range(3):
        ids = (rng.random((B, len(SIZES))) * SIZES).astype(np.int32) + np.array([0, SIZES[0]], np.int32)
        step(ids, rng.normal(size=(B, N)).astype(np.float32), (rng.random(B) < 0.3).astype(np.float32))
    step.optimizer.settle()
    return [table.numpy(), *(variable.numpy() for variable in (*model.dense_variables, *model.kept_variables))]


def passes(found):
    return [int(each) for each in found if each.dtype == np.int64]


def test_micro_batches_of_a_mixture_give_the_same_steps_compiled():
    in_place = after_steps(Execution(MICRO, jit=False, in_place=True), MOE)
    compiled = after_steps(Execution(MICRO, jit=True, in_place=False), MOE)
    for mine, other in zip(compiled, in_place, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)
    assert passes(compiled) == [6]


def test_half_precision_with_dropout_compiles_and_stays_finite():
    found = after_steps(Execution(None, jit=True, in_place=False), {**MOE, "dropout": 0.5}, "float16")
    assert all(np.all(np.isfinite(each)) for each in found)
    assert passes(found) == [3]
