"""One contract for all networks: logits equal to an independent forward pass, gradients, parameter counts, seeds."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.config import parse_config
from ctrfast.errors import ConfigError
from ctrfast.model_config import MODEL_OPTIONS, ModelConfig
from ctrfast.models import MODELS, build_model
from ctrfast.network_sizes import network_size
from tests.models.networks_oracle import OWN
from tests.models.networks_oracle import logits as logits_in_numpy
from tests.oracle import forward, forward_deep_cross

F, D = 5, 3
HIDDEN = (8, 4)
CASES = {
    "deepfm": {},
    "wide_deep": {},
    "dcn": {},
    "dcn_v2": {"cross_layers": 2},
    "dcn_v2 of low rank": {"low_rank": 3},
    "dcn_mix": {"low_rank": 2, "experts": 3},
    "lr": {},
    "fm": {},
    "fwfm": {},
    "deep_fwfm": {},
    "nfm": {},
    "afm": {"interaction_width": 4},
    "pnn": {},
    "pnn of outer products": {"variant": "outer"},
    "dlrm": {"interaction_width": 6},
    "xdeepfm": {"cross_layers": 2, "interaction_width": 4},
    "autoint": {"cross_layers": 2, "interaction_width": 6, "heads": 3},
    "fibinet": {},
    "fibinet, each": {"variant": "each"},
    "fibinet, all": {"variant": "all"},
    "masknet": {"cross_layers": 2, "interaction_width": 4},
    "masknet, parallel": {"cross_layers": 2, "interaction_width": 4, "variant": "parallel"},
    "final_mlp": {"heads": 2},
    "gdcn": {"cross_layers": 2},
    "eulernet": {"cross_layers": 2, "interaction_width": 4},
    "fcn": {"cross_layers": 2},
}
WITHOUT_MLP = {name for name, options in MODEL_OPTIONS.items() if "hidden" not in options}


def name_of(case):
    return case.split()[0].rstrip(",")


def config_of(case):
    hidden = {} if name_of(case) in WITHOUT_MLP else {"hidden": HIDDEN}
    return ModelConfig(name=name_of(case), embedding_dim=D, **hidden, **CASES[case])


def make(case, N=2, seed=1):
    return build_model(config_of(case), id_fields=F, numeric_fields=N, seed=seed)


def inputs(B=7, N=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(B, F, D + 1)).astype(np.float32), rng.normal(size=(B, N)).astype(np.float32)


def independent_logits(case, model, rows, numbers):
    name = name_of(case)
    if name in OWN:
        return logits_in_numpy(model, rows, numbers)
    dense = [variable.numpy().astype(np.float64) for variable in model.dense_variables]
    if name in ("deepfm", "wide_deep"):
        return forward(name, rows, numbers, dense)[0]
    return forward_deep_cross(name, rows, numbers, dense, len(HIDDEN), CASES[case].get("cross_layers", 3))


def with_random_weights(model):
    rng = np.random.default_rng(1)
    for variable in model.dense_variables:
        variable.assign(rng.normal(0, 0.5, size=variable.shape))


def test_every_network_is_a_case():
    assert {name_of(case) for case in CASES} == set(MODELS) == set(MODEL_OPTIONS)


@pytest.mark.parametrize("N", [0, 2])
@pytest.mark.parametrize("case", CASES)
def test_logits_equal_an_independent_forward_pass(case, N):
    model = make(case, N)
    with_random_weights(model)
    rows, numbers = inputs(N=N)
    expected = independent_logits(case, model, rows.astype(np.float64), numbers.astype(np.float64))
    logits = model.logits(tf.constant(rows), tf.constant(numbers))
    assert logits.shape == (7,)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_row_gradients_equal_differences_of_the_independent_pass(case):
    model = make(case)
    with_random_weights(model)
    rows, numbers = inputs(B=2)
    rows_tensor = tf.constant(rows)
    with tf.GradientTape() as tape:
        tape.watch(rows_tensor)
        logits = model.logits(rows_tensor, tf.constant(numbers))
    gradient = tape.gradient(logits, rows_tensor).numpy()
    step = 1e-6
    for place in np.ndindex(rows.shape):
        pair = []
        for sign in (1, -1):
            moved = rows.astype(np.float64)
            moved[place] += sign * step
            pair.append(independent_logits(case, model, moved, numbers.astype(np.float64))[place[0]])
        difference = (pair[0] - pair[1]) / (2 * step)
        np.testing.assert_allclose(gradient[place], difference, rtol=2e-3, atol=2e-3, err_msg=str(place))


@pytest.mark.parametrize("case", CASES)
def test_a_gradient_reaches_every_weight_and_row(case):
    model = make(case)
    with_random_weights(model)
    rows, numbers = (tf.constant(part) for part in inputs())
    with tf.GradientTape() as tape:
        tape.watch(rows)
        total = tf.reduce_sum(tf.square(model.logits(rows, numbers)))
    for gradient in tape.gradient(total, [rows, *model.dense_variables]):
        assert np.any(gradient.numpy() != 0)


@pytest.mark.parametrize("N", [0, 2])
@pytest.mark.parametrize("case", CASES)
def test_parameter_count_is_the_closed_form(case, N):
    count = sum(int(np.prod(variable.shape)) for variable in make(case, N).dense_variables)
    assert count == network_size(config_of(case), F, N).parameters


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("lr", "fm", "fwfm")])
def test_one_seed_gives_one_start(case):
    def start(seed):
        return np.concatenate([v.numpy().ravel() for v in make(case, seed=seed).dense_variables])

    np.testing.assert_array_equal(start(1), start(1))
    assert np.any(start(1) != start(2))


def test_an_unknown_model_is_refused():
    with pytest.raises(ConfigError, match="Did you mean wide_deep"):
        build_model(ModelConfig(name="wide_and_deep"), id_fields=F, numeric_fields=1, seed=1)


@pytest.mark.parametrize(
    "name, option, having", [("deepfm", "cross_layers", "autoint, dcn, dcn_mix, dcn_v2"), ("dcn", "experts", "dcn_mix")]
)
def test_an_option_without_a_place_is_refused(name, option, having):
    with pytest.raises(ConfigError, match=f"no place in the model {name}.*belongs to {having}"):
        parse_config({"model": {"name": name, option: 2}})


@pytest.mark.parametrize(
    "settings, path, says",
    [
        ({"name": "fm", "hidden": [8]}, "model.hidden", "no place in the model fm"),
        ({"name": "pnn", "variant": "middle"}, "model.variant", "one of inner, outer"),
        ({"name": "deepfm", "variant": "inner"}, "model.variant", "no place in the model deepfm"),
        ({"name": "autoint", "interaction_width": 7}, "model.heads", "must divide interaction_width, 7"),
        ({"name": "final_mlp", "hidden": [8, 7]}, "model.heads", "must divide the last of hidden, 7"),
        ({"name": "final_mlp", "hidden": []}, "model.hidden", "one width at least"),
    ],
)
def test_options_that_do_not_fit_are_refused(settings, path, says):
    with pytest.raises(ConfigError, match=says) as error:
        parse_config({"model": settings})
    assert error.value.path == path


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_bias_gradient_sums_the_whole_batch_in_half_precision(precision):
    """Summed in half precision itself it would stop growing at a few hundred rows."""
    model = make("wide_deep", N=2)
    rows, numbers = inputs(B=4099)
    with tf.GradientTape() as tape:
        joined, _ = model.arrange(tf.constant(rows), tf.constant(numbers))
        total = tf.reduce_sum(model.deep(tf.cast(joined, precision)))
    assert float(tape.gradient(total, model.mlp.biases[-1])[0]) == 4099
