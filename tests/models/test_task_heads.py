"""One contract for the heads of several tasks: logits equal to an independent pass, gradients, counts, masked loss."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.config import parse_config
from ctrfast.errors import ConfigError
from ctrfast.gradients import Gradients, weights_of
from ctrfast.loop.dataset_needs import check_labels
from ctrfast.model_config import MODEL_OPTIONS, ModelConfig
from ctrfast.models import build_model
from ctrfast.network_sizes import network_size
from ctrfast.prune import pruned
from ctrfast.step import Execution, make_step
from ctrfast.task_config import TASK_SETTINGS
from tests.models import heads_oracle
from tests.models.step_settings import STEP

F, D, N, B, T = 4, 3, 2, 9, 3
CASES = {
    "shared bottom": ({"kind": "shared_bottom", "hidden": (3,)}, {}),
    "mmoe": ({"kind": "mmoe", "experts": 3, "hidden": ()}, {"activation": "tanh"}),
    "mmoe of mixtures": ({"kind": "mmoe", "experts": 2, "hidden": (4, 3)}, {"name": "moe", "experts": 3}),
    "ple": ({"kind": "ple", "experts": 2, "shared_experts": 3, "levels": 3}, {"activation": "gelu", "norm": "layer"}),
    "small ple": ({"kind": "ple", "experts": 1, "shared_experts": 1, "hidden": ()}, {}),
    "ple of one level": ({"kind": "ple", "experts": 1, "shared_experts": 1, "levels": 1}, {"norm": "batch"}),
    "shared blocks": ({"kind": "ple", "experts": 1, "shared_experts": 2}, {"name": "shared", "activation": "silu"}),
}
WITH_TASKS = [name for name, options in MODEL_OPTIONS.items() if "tasks" in options]


def config_of(case, name="deepfm"):
    tasks, tower = CASES[case]
    return ModelConfig(name=name, embedding_dim=D, hidden=(6, 5), tower=tower, tasks=tasks)


def make(case, name="deepfm"):
    model = build_model(config_of(case, name), id_fields=F, numeric_fields=N, seed=1, tasks=T)
    rng = np.random.default_rng(1)
    for variable in model.dense_variables:
        variable.assign(rng.normal(0, 0.5, size=variable.shape))
    for variable in model.kept_variables:
        if variable.dtype.is_floating:  # averages of batch norms
            variable.assign(rng.uniform(0.5, 2, size=variable.shape))
    return model


def inputs():
    rng = np.random.default_rng(0)
    return rng.normal(size=(B, F, D + 1)).astype(np.float32), rng.normal(size=(B, N)).astype(np.float32)


def some_labels():
    """Of the first task all are known, of the second a few, of the third one."""
    labels = (np.random.default_rng(2).random((B, T)) < 0.5).astype(np.float32)
    labels[::2, 1] = -1
    labels[1:, 2] = -1
    return labels


def test_every_kind_is_a_case():
    assert {tasks["kind"] for tasks, _ in CASES.values()} == set(TASK_SETTINGS) == set(heads_oracle.SEEN)


@pytest.mark.parametrize("name", ["deepfm", "dcn_v2"])
@pytest.mark.parametrize("case", CASES)
def test_logits_equal_an_independent_forward_pass(case, name):
    model, (rows, numbers) = make(case, name), inputs()
    expected = heads_oracle.logits(model, rows, numbers)
    assert expected.shape == (B, T)
    found = model.logits(tf.constant(rows), tf.constant(numbers))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", WITH_TASKS)
def test_heads_of_one_layer_on_a_plain_networks_weights_give_its_logits_for_each_task(name):
    variant = {"variant": "parallel"} if name == "masknet" else {}
    plain_config = ModelConfig(name=name, embedding_dim=D, hidden=(6, 5), **variant)
    config = plain_config.model_copy(update={"tasks": TASK_SETTINGS["shared_bottom"](hidden=())})
    plain = build_model(plain_config, id_fields=F, numeric_fields=N, seed=1)
    model = build_model(config, id_fields=F, numeric_fields=N, seed=2, tasks=T)
    *before, kernel, bias = [variable.numpy() + 0.1 for variable in plain.dense_variables]
    for variable, value in zip(plain.dense_variables, [*before, kernel, bias], strict=True):
        variable.assign(value)
    others = [variable for variable in model.dense_variables if variable is not model.shares_of_tasks]
    for variable, value in zip(others, [*before, *([kernel, bias] * T)], strict=True):
        variable.assign(value)
    rows, numbers = map(tf.constant, inputs())
    expected = np.repeat(plain.logits(rows, numbers).numpy()[:, np.newaxis], T, axis=1)
    np.testing.assert_allclose(model.logits(rows, numbers), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_a_gradient_reaches_every_weight_and_row(case):
    model = make(case)
    rows, numbers = map(tf.constant, inputs())
    with tf.GradientTape() as tape, model.watched(is_training=True):
        tape.watch(rows)
        total = tf.reduce_sum(tf.square(model.logits(rows, numbers)))
    sources = [rows, *model.dense_variables]
    for gradient, variable in zip(tape.gradient(total, sources), sources, strict=True):
        assert np.max(np.abs(gradient)) > 1e-4, variable


@pytest.mark.parametrize("case, name", [*((case, "deepfm") for case in CASES), *(("ple", name) for name in WITH_TASKS)])
def test_parameter_count_is_the_closed_form(case, name):
    config = config_of(case, name).model_copy(update={"variant": "parallel"} if name == "masknet" else {})
    model = build_model(config, id_fields=F, numeric_fields=N, seed=1, tasks=T)
    count = sum(int(np.prod(variable.shape)) for variable in model.dense_variables)
    assert count == network_size(config, F, N, tasks=T).parameters


def test_the_loss_is_the_sum_of_means_over_known_labels():
    model, (rows, numbers), labels = make("mmoe"), inputs(), some_labels()
    gradients = Gradients(model, model.dense_variables, B, jit_arrange=False, precision="float32", pooling=None)
    ids = np.zeros((B, F), np.int32)
    weights = weights_of(labels)
    loss, row_gradients, dense = gradients(*map(tf.constant, (rows, ids, numbers, labels)), weights)

    logits = model.logits(tf.constant(rows), tf.constant(numbers)).numpy().astype(np.float64)
    p = 1 / (1 + np.exp(-logits))
    expected, of_biases = 0.0, []
    for task in range(T):
        known = labels[:, task] >= 0
        y, q = labels[known, task], p[known, task]
        expected -= np.mean(y * np.log(q) + (1 - y) * np.log(1 - q))
        of_biases.append(np.mean(q - y))
    assert [int(np.sum(labels[:, task] >= 0)) for task in range(T)] == [9, 4, 1]
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    by_variable = {id(variable): gradient for variable, gradient in zip(model.dense_variables, dense, strict=True)}
    found = [float(by_variable[id(own.affines[-1].bias)][0]) for own in model.mlp.of_tasks]
    np.testing.assert_allclose(found, of_biases, rtol=1e-4)

    halves = [gradients(*map(tf.constant, (rows[h], ids[h], numbers[h], labels[h])), weights) for h in HALVES]
    assert sum(float(part[0]) for part in halves) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(np.concatenate([part[1] for part in halves]), row_gradients, rtol=1e-4, atol=1e-6)


HALVES = (slice(0, 5), slice(5, B))


def test_an_unknown_label_counts_nothing_whatever_its_logit():
    model, (rows, numbers) = make("shared bottom"), inputs()
    gradients = Gradients(model, model.dense_variables, B, jit_arrange=False, precision="float32", pooling=None)
    labels, ids = np.full((B, T), -1, np.float32), np.zeros((B, F), np.int32)
    loss, row_gradients, _ = gradients(*map(tf.constant, (rows, ids, numbers, labels)), weights_of(labels))
    assert float(loss) == 0
    np.testing.assert_array_equal(row_gradients, 0)


SIZES = [5, 40]


def after_steps(execution, case, precision="float32"):
    """The table and the dense weights after three steps on 36 rows."""
    rng, B = np.random.default_rng(0), 36
    model = build_model(config_of(case), id_fields=len(SIZES), numeric_fields=N, seed=1, tasks=T)
    table = tf.Variable(rng.normal(0, 0.5, (sum(SIZES), D + 1)).astype(np.float32))
    step = make_step(model, table, [0, SIZES[0]], STEP, batch_size=B, execution=execution, precision=precision)
    for _ in range(3):
        ids = (rng.random((B, len(SIZES))) * SIZES).astype(np.int32) + np.array([0, SIZES[0]], np.int32)
        labels = rng.integers(-1, 2, (B, T)).astype(np.float32)
        step(ids, rng.normal(size=(B, N)).astype(np.float32), labels)
    step.optimizer.settle()
    return [table.numpy(), *(variable.numpy() for variable in model.dense_variables)]


@pytest.mark.parametrize("case", ["mmoe", "small ple"])
def test_steps_are_the_same_in_place_and_compiled_whole_and_in_parts(case):
    in_place = after_steps(Execution(20, jit=False, in_place=True), case)
    compiled = after_steps(Execution(None, jit=True, in_place=False), case)
    for mine, other in zip(compiled, in_place, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


def test_half_precision_stays_finite():
    found = after_steps(Execution(None, jit=True, in_place=False), "mmoe", "float16")
    assert all(np.all(np.isfinite(each)) for each in found)


def test_experts_that_are_mixtures_leave_their_penalties():
    model, (rows, numbers) = make("mmoe of mixtures"), map(tf.constant, inputs())
    with model.watched(is_training=True) as seen:
        model.logits(rows, numbers)
    assert len(seen.penalties) == 2  # of each expert one mixture; the tasks' own layers are plain


@pytest.mark.parametrize(
    "settings, path, says",
    [
        ({"tasks": "mmoee"}, "model.tasks.kind", "Unknown heads 'mmoee'. Did you mean mmoe"),
        ({"tasks": 3}, "model.tasks", "the heads' kind or settings. Got 3"),
        ({"tasks": {"kind": "mmoe", "expert": 3}}, "model.tasks.expert", "Did you mean model.tasks.experts"),
        ({"tasks": {"kind": "shared_bottom", "levels": 3}}, "model.tasks.levels", "Unknown setting of the heads"),
        ({"tasks": {"kind": "mmoe", "experts": 1}}, "model.tasks.experts", "greater than or equal to 2"),
        ({"tasks": {"kind": "ple", "levels": True}}, "model.tasks.levels", "must not be true"),
        ({"tasks": "ple", "hidden": []}, "model.hidden", "one width at least for the tasks' ple"),
        ({"tasks": "ple", "name": "fm"}, "model.tasks", "no place in the model fm. Got tasks=ple. It belongs to auto"),
        ({"tasks": "ple", "name": "final_mlp"}, "model.tasks", "no place in the model final_mlp"),
        ({"tasks": "ple", "name": "masknet"}, "model.tasks", "masknet of the variant serial. Got tasks=ple"),
    ],
)
def test_heads_that_do_not_fit_are_refused(settings, path, says):
    with pytest.raises(ConfigError, match=says) as error:
        parse_config({"model": settings})
    assert error.value.path == path


def test_short_forms_are_read():
    assert parse_config({"model": {"tasks": "ple"}}).model.tasks == TASK_SETTINGS["ple"]()
    assert parse_config({"model": {"tasks": {"hidden": [8]}}}).model.tasks.kind == "shared_bottom"
    assert parse_config({"model": {"tasks": None}}).model.tasks is None


@pytest.mark.parametrize(
    "settings, labels, path, says",
    [
        ({}, ("click", "buy"), "model.tasks", r"must be set for a dataset of 2 labels: click, buy\. Got none\. Set it"),
        ({"tasks": "mmoe"}, ("click",), "model.tasks", "no place beside a dataset of one label, click. Got tasks=mmoe"),
        ({"name": "fm"}, ("click", "buy"), "model.name", "fm has one logit, and the dataset 2 labels: click, buy"),
        ({"name": "final_mlp"}, ("click", "buy"), "model.name", "Choose one of autoint, dcn, .*, with `tasks`"),
    ],
)
def test_labels_that_do_not_fit_the_heads_are_refused_in_one_line(settings, labels, path, says):
    with pytest.raises(ConfigError, match=says) as error:
        check_labels(parse_config({"model": settings}).model, labels)
    assert error.value.path == path
    assert "\n" not in error.value.message


def test_a_network_has_only_so_many_seeds():
    tasks = {"kind": "ple", "experts": 64, "shared_experts": 64, "levels": 8}
    config = ModelConfig(hidden=(1,), embedding_dim=1, tasks=tasks)
    with pytest.raises(ConfigError, match="at most 1,000 layers of random weights"):
        build_model(config, id_fields=1, numeric_fields=0, seed=1, tasks=8)


def test_pruning_refuses_heads():
    with pytest.raises(ConfigError, match=r"a network of one label\. Got one with tasks=mmoe"):
        pruned(make("mmoe"), 0.5)
