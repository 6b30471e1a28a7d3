"""CowClip as a Keras optimizer: golden steps, a functional model against the oracle, replicas, saving, refusals."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from ctrfast.errors import ConfigError
from ctrfast.optim import CowClip
from tests.optim.keras_program import BATCH, EPOCHS, RATES, SETTINGS, clicks, cowclip, fit, network, weights
from tests.oracle import Trainer

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
CASES = json.loads((GOLDEN / "cowclip_steps.json").read_text())["cases"]
tf.config.experimental.enable_tensor_float_32_execution(False)  # the oracle's products are not rounded
SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=1, decay_rate=0.5)


@pytest.mark.parametrize("jit_compile", [True, False], ids=["compiled", "plain"])
@pytest.mark.parametrize("case", CASES)
def test_sparse_gradients_take_the_golden_steps(case, jit_compile):
    settings = {name: value for name, value in CASES[case].items() if name in ("clip_ratio", "l2")}
    optimizer = CowClip(
        embedding_learning_rate=CASES[case]["lr_embed"],
        bound=CASES[case]["bound"] or 1.0,  # 0 where nothing is clipped
        jit_compile=jit_compile,
        **settings,
    )
    with np.load(GOLDEN / "cowclip_steps.npz") as arrays:
        fields = range(len(arrays["sizes"]))
        tables = [tf.Variable(arrays[f"rows0_{f}"].astype(np.float32)) for f in fields]
        linears = [tf.Variable(arrays[f"linear0_{f}"].astype(np.float32)) for f in fields]
        for ids, gradients in zip(arrays["ids"], arrays["row_gradients"].astype(np.float32), strict=True):
            of_tables = [tf.IndexedSlices(gradients[:, f, :-1], ids[:, f]) for f in fields]
            of_linears = [tf.IndexedSlices(gradients[:, f, -1:], ids[:, f]) for f in fields]
            optimizer.apply_gradients(zip([*of_tables, *of_linears], [*tables, *linears], strict=True))
        moments = [v for v in optimizer.variables if v.shape.rank]
        firsts, seconds = moments[: len(moments) // 2], moments[len(moments) // 2 :]
        for name, got in (("rows", tables), ("linear", linears), ("m", firsts), ("v", seconds)):
            for f in fields:
                np.testing.assert_allclose(got[f], arrays[f"{case}/{name}_{f}"], rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def expected():
    """Weights after the epochs, and how many rows were clipped: the numpy oracle from the model's first weights."""
    tables, dense = weights(*network()[1:])
    rates = {"lr_dense": RATES["learning_rate"], "lr_embed": RATES["embedding_learning_rate"]}
    settings = SETTINGS | rates | {"clip": "adaptive_column"}
    oracle = Trainer("wide_deep", tables, [dense[0], dense[1][0], *dense[2:]], settings)
    ids, numbers, labels = clicks()
    clipped = 0
    for _ in range(EPOCHS):
        for start in range(0, len(labels), BATCH):
            rows = slice(start, start + BATCH)
            oracle.train(ids[rows], numbers[rows], labels[rows])
            clipped += sum(oracle.clipped)
    assert clipped > 100  # else the tests would not see the clip
    return [*oracle.tables, *oracle.dense]


@pytest.mark.parametrize(
    "compile_options", [{}, {"jit_compile": True}, {"run_eagerly": True}], ids=["graph", "model jit", "eager"]
)
def test_a_plain_functional_model_equals_the_oracle(expected, compile_options):
    model, *layers = network()
    model.compile(cowclip(), "binary_crossentropy", **compile_options)
    losses = fit(model, epochs=EPOCHS).history["loss"]
    assert losses[0] > losses[1] > losses[2]
    tables, dense = weights(*layers)
    for ours, theirs in zip([*tables, *dense], expected, strict=True):
        np.testing.assert_allclose(ours, np.reshape(theirs, ours.shape), rtol=0, atol=1e-5)


def test_two_replicas_equal_the_oracle_at_the_whole_batch(expected, tmp_path):
    out = tmp_path / "weights.npz"
    command = [sys.executable, "-m", "tests.optim.keras_program", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(out) as arrays:
        for name, theirs in zip(arrays, expected, strict=True):
            np.testing.assert_allclose(arrays[name], np.reshape(theirs, arrays[name].shape), rtol=0, atol=1e-5)
    assert "must be sparse" in done.stdout  # a regularized table is refused on replicas too


def test_two_lookups_of_one_table_count_together():
    """Row (0.6, 0.8), gradient (3, 4) in two halves: the limit is 2, so the clipped gradient is (1.2, 1.6)."""
    table = tf.Variable([[0.6, 0.8]])
    optimizer = CowClip(embedding_learning_rate=0.0)
    half = tf.constant([[1.5, 2.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(half * tf.gather(table, [0])) + tf.reduce_sum(half * tf.gather(table, [0]))
    optimizer.minimize(loss, [table], tape)
    first = next(v for v in optimizer.variables if v.shape == table.shape)
    np.testing.assert_allclose(first, [[0.12, 0.16]], rtol=1e-6)  # 0.1 of the gradient


@pytest.mark.parametrize("shape", [(3,), (3, 1)], ids=["vector", "width 1"])
@pytest.mark.parametrize("clip_linear, factor", [(False, 1.0), (True, 0.25)])
def test_linear_weights_are_clipped_only_on_request(shape, clip_linear, factor):
    weight = tf.Variable(tf.reshape([1.0, 2.0, 3.0], shape))
    optimizer = CowClip(embedding_learning_rate=0.0, clip_linear=clip_linear)
    with tf.GradientTape() as tape:
        loss = 8.0 * tf.reduce_sum(tf.gather(weight, [1]))  # limit 2 over norm 8
    optimizer.minimize(loss, [weight], tape)
    first = next(v for v in optimizer.variables if v.shape == weight.shape)
    np.testing.assert_allclose(tf.reshape(first, (-1,)), [0, 0.8 * factor, 0], rtol=1e-6)


def test_warm_up_and_a_schedule_change_the_dense_rate_alone():
    """Adam's step under a constant gradient is its rate: 0.1, 0.05, 0.025 times 1/2, 1, 1."""
    dense, table = tf.Variable([0.0, 0.0]), tf.Variable([[1.0, 1.0]])
    optimizer = CowClip(SCHEDULE, embedding_learning_rate=0.01, warmup_steps=2)
    for _ in range(3):
        optimizer.apply_gradients([(tf.constant([1.0, 1.0]), dense), (tf.IndexedSlices([[0.1, 0.1]], [0]), table)])
    np.testing.assert_allclose(dense, [-0.125, -0.125], rtol=1e-5)
    np.testing.assert_allclose(table, [[0.97, 0.97]], rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [None, True])
def test_a_table_with_a_dense_gradient_is_refused(jit_compile):
    model, *_ = network(embeddings_regularizer="l2")
    model.compile(cowclip(), "binary_crossentropy", jit_compile=jit_compile)
    with pytest.raises(ConfigError, match=r"table `embedding\w*/embeddings:0` must be sparse.*a dense one: replace"):
        fit(model)


@pytest.mark.parametrize("kind", ["weights", "model"])
def test_a_saved_optimizer_goes_on_as_if_it_had_not_stopped(kind, tmp_path):
    settings = {"learning_rate": SCHEDULE, "jit_compile": False}
    model, *_ = network()
    model.compile(cowclip(**settings), "binary_crossentropy", run_eagerly=True)
    fit(model)
    if kind == "weights":
        model.save_weights(tmp_path / "weights")
        other, *_ = network()
        other.compile(cowclip(**settings), "binary_crossentropy")
        other.load_weights(tmp_path / "weights")
    else:
        model.save(tmp_path / "model.keras")
        other = keras.models.load_model(tmp_path / "model.keras")
    states = []
    for each in (model, other):
        each.run_eagerly = True  # saves the time of tracing
        fit(each)
        states.append([*each.weights, *each.optimizer.variables])
    for ours, theirs in zip(*states, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("learning_rate", [0.25, SCHEDULE], ids=["number", "schedule"])
def test_the_config_makes_the_same_optimizer(learning_rate):
    values = {
        "embedding_learning_rate": 0.5,
        "l2": 0.125,
        "clip_ratio": None,
        "bound": 2.0,
        "clip_linear": True,
        "warmup_steps": 9,
        "jit_compile": False,
        "name": "mine",
    }
    config = CowClip(learning_rate, **values).get_config()
    assert values.items() <= config.items()
    other = keras.optimizers.deserialize(keras.optimizers.serialize(CowClip(learning_rate, **values)))
    assert other.get_config() == config
    assert float(other.learning_rate) == (0.25 if learning_rate == 0.25 else pytest.approx(0.1))


@pytest.mark.parametrize(
    "name, value, rule",
    [
        ("learning_rate", -1.0, ">= 0"),
        ("learning_rate", "fast", ">= 0"),
        ("embedding_learning_rate", SCHEDULE, ">= 0"),
        ("embedding_learning_rate", True, ">= 0"),
        ("l2", float("nan"), ">= 0"),
        ("clip_ratio", 0.0, "> 0"),
        ("bound", 0.0, "> 0"),
        ("warmup_steps", 1.5, "a whole number >= 0"),
    ],
)
def test_an_argument_that_breaks_its_rule_is_refused(name, value, rule):
    with pytest.raises(ConfigError) as caught:
        CowClip(**{name: value})
    assert caught.value.message.startswith(f"`{name}` must be {rule}. Got {name}={value!r}.")
    assert caught.value.path == name
