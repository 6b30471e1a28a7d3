"""Our networks with a peer's weights give the peer's logits. bench/parity says where the golden files come from."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bench.parity.golden import Golden
from ctrfast.model_config import ModelConfig
from ctrfast.models import MODELS, build_model
from ctrfast.task_config import TASK_SETTINGS

FOLDER = Path(__file__).parents[1] / "golden" / "parity"
CASES = sorted(path.stem for path in FOLDER.glob("*.npz"))
LARGEST_BYTES = 30_000


@cache
def golden_of(case):
    return Golden.load(FOLDER / f"{case}.npz")


def attribute(model, path):
    for step in path.split("."):
        model = model[int(step)] if step.isdecimal() else getattr(model, step)
    return model


@cache
def model_of(case):
    """Our network with the peer's weights: each of its variables gets a value, once."""
    golden = golden_of(case)
    fields, numbers = golden.ids.shape[1], golden.numbers.shape[1]
    tasks = golden.logits.shape[1] if golden.logits.ndim == 2 else 1
    model = build_model(ModelConfig(**golden.model), id_fields=fields, numeric_fields=numbers, seed=1, tasks=tasks)
    variables = {path: attribute(model, path) for path in golden.weights}
    assert sorted(id(v) for v in variables.values()) == sorted(id(v) for v in model.dense_variables)
    for path, variable in variables.items():
        assert variable.shape == golden.weights[path].shape, path
        variable.assign(golden.weights[path])
    return model


def logits_of(case):
    golden = golden_of(case)
    return model_of(case).logits(tf.constant(golden.table[golden.ids]), tf.constant(golden.numbers))


def test_every_network_and_every_kind_of_heads_has_a_peer():
    assert {golden_of(case).model["name"] for case in CASES} == set(MODELS)
    heads = [golden_of(case).model["tasks"]["kind"] for case in CASES if "tasks" in golden_of(case).model]
    assert sorted(heads) == sorted(TASK_SETTINGS)


@pytest.mark.parametrize("case", CASES)
def test_logits_are_the_peers(case):
    np.testing.assert_allclose(logits_of(case), golden_of(case).logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_weights_are_as_many_as_the_peers_but_for_the_differences_told(case):
    golden = golden_of(case)
    ours = golden.table.size + sum(int(np.prod(variable.shape)) for variable in model_of(case).dense_variables)
    assert ours == golden.peer_parameters + sum(golden.differences.values()), golden.differences


@pytest.mark.parametrize("case", CASES)
def test_the_rows_show_every_weight(case):
    """A weight without a gradient would be compared in vain."""
    variables = model_of(case).dense_variables
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.square(logits_of(case)))
    for variable, gradient in zip(variables, tape.gradient(total, variables), strict=True):
        assert np.count_nonzero(gradient) or not np.prod(variable.shape), variable.name


@pytest.mark.parametrize("case", CASES)
def test_files_stay_small(case):
    assert (FOLDER / f"{case}.npz").stat().st_size < LARGEST_BYTES


def test_a_file_holds_what_was_saved(tmp_path):
    golden = golden_of("afm")
    golden.save(tmp_path / "again.npz")
    again = vars(Golden.load(tmp_path / "again.npz"))
    for name, value in vars(golden).items():
        np.testing.assert_equal(again[name], value)
