"""Networks of pairs of fields on datasets of one: refused in one line, or trained."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.errors import ConfigError
from ctrfast.gradients import Gradients
from ctrfast.loop.dataset_needs import OF_PAIRS, check_fields
from ctrfast.model_config import MODEL_OPTIONS, MODEL_VARIANTS, ModelConfig
from ctrfast.models import build_model

D, B = 4, 3
FORMS = [(name, variant) for name in MODEL_OPTIONS for variant in MODEL_VARIANTS.get(name, (None,))]
REFUSED = [(name, variant) for name, variant in FORMS if name in OF_PAIRS and variant != "outer"]
TAKEN = [(*form, N) for form in FORMS if form not in REFUSED for N in (0, 2)] + [("dlrm", None, 2)]


def config_of(name, variant):
    has_widths = "hidden" in MODEL_OPTIONS[name] and (name, variant) != ("masknet", "serial")
    return ModelConfig(name=name, embedding_dim=D, variant=variant, **({"hidden": (4, 4)} if has_widths else {}))


@pytest.mark.parametrize("name, variant", REFUSED)
def test_a_network_of_pairs_refuses_one_field(name, variant):
    with pytest.raises(ConfigError, match=f"{name} is of pairs .* of one, item. Choose another") as error:
        check_fields(config_of(name, variant), ["item"], [] if name == "dlrm" else ["price"])
    assert error.value.path == "model.name"
    check_fields(config_of(name, variant), ["item", "user"], [])


@pytest.mark.parametrize("name, variant, N", TAKEN)
def test_all_others_train_on_one_field(name, variant, N):
    config = config_of(name, variant)
    check_fields(config, ["item"], ["price", "age"][:N])
    model = build_model(config, id_fields=1, numeric_fields=N, seed=1)
    gradients = Gradients(model, model.dense_variables, B, jit_arrange=False, precision="float32", pooling=None)
    rows, numbers = tf.random.stateless_normal((B, 1, D + 1), (1, 2)), tf.random.stateless_normal((B, N), (3, 4))
    found = gradients(rows, tf.zeros((B, 1), tf.int32), numbers, tf.constant([0.0, 1.0, 0.0]))
    assert all(np.isfinite(each).all() for each in tf.nest.flatten(found))
