"""One contract for all towers: logits equal to an independent forward pass, gradients, parameter counts, balance."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.config import parse_config
from ctrfast.errors import ConfigError
from ctrfast.gradients import Gradients
from ctrfast.model_config import ModelConfig
from ctrfast.models import build_model
from ctrfast.models.hidden_end import HiddenEnd
from ctrfast.models.towers import TOWERS
from ctrfast.network_sizes import network_size
from ctrfast.prune import pruned
from ctrfast.tower_config import TOWER_SETTINGS, MlpSettings
from tests.models import towers_oracle

F, D, N, B = 4, 3, 2, 9
CASES = {
    "mlp of layer norms": {"activation": "gelu", "norm": "layer"},
    "mlp of batch norms": {"activation": "silu", "norm": "batch"},
    "shared": {"name": "shared"},
    "shared of batch norms": {"name": "shared", "repeats": 3, "norm": "batch", "activation": "tanh"},
    "moe": {"name": "moe", "experts": 4, "top_k": 2},
    "moe of batch norms": {"name": "moe", "experts": 3, "top_k": 3, "norm": "batch"},
    "moe of shared experts": {"name": "moe", "experts": 3, "top_k": 1, "across_depth": "shared", "norm": "layer"},
}
OF_BATCH_NORMS = [case for case in CASES if "batch" in case]


def config_of(case, name="deepfm"):
    hidden = (5, 5, 5) if "shared experts" in case else (6, 5, 4)
    return ModelConfig(name=name, embedding_dim=D, hidden=hidden, tower=CASES[case])


def make(case, name="deepfm", **changes):
    config = config_of(case, name)
    config = config.model_copy(update={"tower": config.tower.model_copy(update=changes)})
    model = build_model(config, id_fields=F, numeric_fields=N, seed=1)
    rng = np.random.default_rng(1)
    for variable in model.dense_variables:
        variable.assign(rng.normal(0, 0.5, size=variable.shape))
    for end in model.mlp.ends:
        if config.tower.norm == "batch":
            end.norm.mean.assign(rng.normal(size=end.norm.mean.shape))
            end.norm.variance.assign(rng.uniform(0.5, 2, size=end.norm.variance.shape))
    return model


def inputs():
    rng = np.random.default_rng(0)
    return rng.normal(size=(B, F, D + 1)).astype(np.float32), rng.normal(size=(B, N)).astype(np.float32)


def test_every_tower_is_a_case():
    assert {settings.get("name", "mlp") for settings in CASES.values()} == set(TOWERS) == set(TOWER_SETTINGS)


@pytest.mark.parametrize("name", ["deepfm", "dcn_v2"])
@pytest.mark.parametrize("case", CASES)
def test_logits_equal_an_independent_forward_pass(case, name):
    model, (rows, numbers) = make(case, name), inputs()
    expected = towers_oracle.logits(model, rows, numbers)
    np.testing.assert_allclose(model.logits(tf.constant(rows), tf.constant(numbers)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_the_streams_of_final_mlp_are_hidden_layers_to_their_end(case):
    config = ModelConfig(name="final_mlp", embedding_dim=D, hidden=(6, 6, 6), tower=CASES[case])
    model, rng = build_model(config, id_fields=F, numeric_fields=N, seed=1), np.random.default_rng(1)
    for variable in model.dense_variables:
        variable.assign(rng.normal(0, 0.5, size=variable.shape))
    rows, numbers = inputs()
    expected = towers_oracle.final_mlp_logits(model, rows, numbers)
    np.testing.assert_allclose(model.logits(tf.constant(rows), tf.constant(numbers)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", OF_BATCH_NORMS)
def test_batch_norms_train_by_the_rows_at_hand_and_average_them(case):
    model, (rows, numbers) = make(case), inputs()
    halves = [(rows[:5], numbers[:5]), (rows[5:], numbers[5:])]
    seen = []
    for part in halves:
        expected = towers_oracle.logits(model, *part, is_training=True)
        with model.watched(is_training=True):
            logits = model.logits(*map(tf.constant, part))
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
        products = part[0][:, :, :-1].reshape(len(part[0]), -1)
        seen.append(np.concatenate((products, part[1]), axis=1) @ model.mlp.kernels[0].numpy())
        norm = model.mlp.ends[0].norm
        np.testing.assert_allclose(norm.mean, np.mean([each.mean(0) for each in seen], axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(norm.variance, np.mean([each.var(0) for each in seen], axis=0), rtol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_a_gradient_reaches_every_weight_and_row(case):
    model = make(case)
    rows, numbers = map(tf.constant, inputs())
    with tf.GradientTape() as tape, model.watched(is_training=True):
        tape.watch(rows)
        total = tf.reduce_sum(tf.square(model.logits(rows, numbers)))
    for gradient, variable in zip(
        tape.gradient(total, [rows, *model.dense_variables]), [rows, *model.dense_variables], strict=True
    ):
        assert np.max(np.abs(gradient)) > 1e-3, variable  # and not rounding alone


@pytest.mark.parametrize("name", ["deepfm", "final_mlp"])
@pytest.mark.parametrize("case", CASES)
def test_parameter_count_is_the_closed_form(case, name):
    config = config_of(case, name)
    config = config.model_copy(update={"hidden": (6, 6, 6)} if name == "final_mlp" else {})  # 2 heads
    model = build_model(config, id_fields=F, numeric_fields=N, seed=1)
    count = sum(int(np.prod(variable.shape)) for variable in model.dense_variables)
    assert count == network_size(config, F, N).parameters


@pytest.mark.parametrize("strength, expected", [(0.0, 1.0), (50.0, 4.0)])
def test_the_balance_is_one_where_gates_are_alike_and_the_experts_where_one_takes_all(strength, expected):
    model, (rows, numbers) = make("moe", top_k=1, balance=1.0), map(tf.constant, inputs())
    model.mlp.biases[0].assign(tf.ones_like(model.mlp.biases[0]))
    model.mlp.kernels[0].assign(tf.zeros_like(model.mlp.kernels[0]))  # so that the first mixture sees ones
    gates = np.zeros(model.mlp.mixtures[0].gate.shape)
    gates[:, 2] = strength
    model.mlp.mixtures[0].gate.assign(gates)
    with model.watched(is_training=False) as seen:
        model.logits(rows, numbers)
    assert float(seen.penalties[0]) == pytest.approx(expected)
    np.testing.assert_allclose(np.sum(seen.gates[0]), 1.0 if strength else 0.25, rtol=1e-5)


def gate_gradients(balance, parts):
    """What micro-batches of one step give for all gates, added up, and the model."""
    model, (rows, numbers) = make("moe", balance=balance), inputs()
    gradients = Gradients(model, model.dense_variables, B, jit_arrange=False, precision="float32", pooling=None)
    labels = (np.arange(B) % 2).astype(np.float32)
    ids = np.zeros((B, F), np.int32)
    total, losses = 0.0, 0.0
    for part in parts:
        loss, _, dense = gradients(*map(tf.constant, (rows[part], ids[part], numbers[part], labels[part])))
        of_gates = [g for g, v in zip(dense, model.dense_variables, strict=True) if "gate" in v.name]
        total += np.concatenate([gradient.numpy().ravel() for gradient in of_gates])
        losses += float(loss)
    return total, losses, model


@pytest.mark.parametrize("parts", [[slice(0, B)], [slice(0, 5), slice(5, B)]])
def test_a_step_minimises_the_mean_of_the_passes_balances_by_rows(parts):
    without, plain_loss, _ = gate_gradients(0.0, parts)
    found, loss, model = gate_gradients(0.3, parts)
    assert loss == pytest.approx(plain_loss)  # the log loss alone
    rows, numbers = inputs()

    def penalty():
        total = 0.0
        for part in parts:
            balances = []
            towers_oracle.logits(model, rows[part], numbers[part], balances=balances)
            total += 0.3 * sum(balances) * len(rows[part]) / B
        return total

    differences = []
    for mixture in model.mlp.mixtures:
        start = mixture.gate.numpy()
        for place in np.ndindex(start.shape):
            pair = []
            for step in (1e-3, -1e-3):
                moved = start.copy()
                moved[place] += step
                mixture.gate.assign(moved)
                pair.append(penalty())
            differences.append((pair[0] - pair[1]) / 2e-3)
        mixture.gate.assign(start)
    np.testing.assert_allclose(found - without, differences, rtol=1e-2, atol=1e-4)
    assert np.any(np.abs(differences) > 1e-3)


def test_dropout_is_drawn_by_pass_and_only_in_training():
    passes = tf.Variable(1, dtype=tf.int64)
    end, inputs = HiddenEnd(50, MlpSettings(dropout=0.25), passes, 7, "end"), tf.ones((400, 50))
    np.testing.assert_array_equal(end(inputs, False), inputs)
    first = end(inputs, True).numpy()
    np.testing.assert_allclose(np.unique(first), [0, 1 / 0.75], rtol=1e-6)
    assert np.mean(first == 0) == pytest.approx(0.25, abs=0.02)
    np.testing.assert_array_equal(end(inputs, True), first)
    passes.assign_add(1)
    assert np.any(end(inputs, True).numpy() != first)


def test_passes_are_counted_in_training_alone():
    model, (rows, numbers) = make("mlp of layer norms", dropout=0.5), map(tf.constant, inputs())
    model.logits(rows, numbers)
    for _ in range(2):
        with model.watched(is_training=True):
            model.logits(rows, numbers)
    assert [int(each) for each in model.kept_variables] == [2]


@pytest.mark.parametrize(
    "settings, path, says",
    [
        ({"tower": "mlpp"}, "model.tower.name", "Unknown tower 'mlpp'. Did you mean mlp"),
        ({"tower": {"name": ["moe"]}}, "model.tower.name", "Unknown tower"),
        ({"tower": 3}, "model.tower", "a tower's name or settings. Got 3"),
        ({"tower": {"name": "moe", "expert": 3}}, "model.tower.expert", "Did you mean model.tower.experts"),
        ({"tower": {"experts": 3}}, "model.tower.experts", "Unknown setting of the tower mlp"),
        ({"tower": {"name": "moe", "experts": 1}}, "model.tower.experts", "greater than or equal to 2"),
        ({"tower": {"name": "moe", "experts": True}}, "model.tower.experts", "must not be true"),
        ({"tower": {"dropout": 1}}, "model.tower.dropout", "less than 1"),
        ({"tower": {"name": "moe", "top_k": 5}}, "model.tower.top_k", "at most experts=4. Got top_k=5"),
        ({"tower": "moe", "hidden": [8]}, "model.hidden", "two widths at least"),
        ({"tower": "moe", "hidden": [8], "name": "final_mlp"}, "model.hidden", "two widths at least"),
        ({"tower": {"name": "moe", "across_depth": "shared"}, "hidden": [8, 4]}, "model.hidden", "equal widths"),
        (
            {"tower": {"name": "moe", "across_depth": "shared"}},
            "model.tower.norm",
            "layer or batch .* Got none",
        ),
        ({"tower": "shared", "hidden": []}, "model.hidden", "one width at least"),
        ({"tower": "moe", "name": "fm"}, "model.tower", "no place in the model fm. Got tower=moe. It belongs to auto"),
        ({"tower": "shared", "name": "masknet"}, "model.tower", "masknet of the variant serial"),
        ({"hidden": [8, 4], "name": "masknet"}, "model.hidden", r"serial\. Got hidden=\[8, 4\]\. .* variant=parallel"),
    ],
)
def test_towers_that_do_not_fit_are_refused(settings, path, says):
    with pytest.raises(ConfigError, match=says) as error:
        parse_config({"model": settings})
    assert error.value.path == path


def test_pruning_refuses_a_tower_whose_units_it_cannot_weigh():
    with pytest.raises(ConfigError, match=r"tower mlp without norms\. Got moe with norm=none"):
        pruned(make("moe"), 0.5)
