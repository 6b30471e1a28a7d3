"""The training step on lists and a shared table equals a numpy step with true counts."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.model_config import ModelConfig
from ctrfast.models import build_model
from ctrfast.models.pooling import Pooling
from ctrfast.optim.step_settings import StepSettings
from ctrfast.step import Execution, make_step
from tests.list_oracle import ListTrainer
from tests.models.test_pooling import FIELDS, FITTED, ITEMS, TAGS, fused, some_ids
from tests.test_step import SETTINGS

B, STEPS, D = 48, 8, 6
FORMS = {
    "whole": Execution(None, jit=False, in_place=False),
    "in place": Execution(20, jit=False, in_place=True),
    "micro-batches": Execution(20, jit=False, in_place=False),
    "jit": Execution(None, jit=True, in_place=False),
}


CASES = [*(("deepfm", "adaptive_column", form) for form in FORMS), ("wide_deep", "field", "whole")]


@pytest.mark.parametrize("name, clip, form", CASES)
def test_steps_equal_the_oracle(name, clip, form):
    variants = {"clip": clip, "clip_ratio": 0.02} if clip == "adaptive_column" else {"clip": clip, "clip_norm": 0.03}
    settings = SETTINGS | variants
    rng = np.random.default_rng(5)
    start = rng.normal(0, 0.1, (ITEMS + TAGS, D + 1)).astype(np.float32)
    names, starts = zip(*FITTED.row_ranges, strict=True)
    assert names == ("item", None, "tags", None)
    start[[starts[1], starts[3]]] = 0
    model = build_model(ModelConfig(name=name, embedding_dim=D, hidden=(16, 8)), id_fields=3, numeric_fields=1, seed=1)
    tables = [start[: ITEMS - 1], start[ITEMS : ITEMS + TAGS - 1]]
    oracle = ListTrainer(name, tables, FIELDS, [v.numpy() for v in model.dense_variables], settings)
    step = make_step(
        model,
        tf.Variable(start),
        starts,
        StepSettings(**settings),
        batch_size=B,
        execution=FORMS[form],
        pooling=Pooling.of(FITTED),
    )
    fired = 0
    for index in range(STEPS):
        ids = some_ids(B, seed=index)
        numbers, labels = rng.normal(size=(B, 1)).astype(np.float32), (rng.random(B) < 0.3).astype(np.float32)
        loss, present, clipped = step(fused(ids), numbers, labels)
        assert float(loss) == pytest.approx(oracle.train(ids, numbers, labels), abs=2e-6)
        np.testing.assert_array_equal(np.asarray(present)[[0, 2]], [np.count_nonzero(n) for n in oracle.counts])
        np.testing.assert_allclose(np.asarray(clipped)[[0, 2]], oracle.clipped, atol=1)
        fired += sum(oracle.clipped)
    assert fired > 20
    state = step.optimizer.state()
    table, moments = np.asarray(state["table"]), np.asarray(state["table.first"])
    for t, rows in enumerate((slice(0, ITEMS - 1), slice(ITEMS, ITEMS + TAGS - 1))):
        np.testing.assert_allclose(table[rows], oracle.tables[t], rtol=0, atol=5e-6)
        expected = oracle.first_moment(t)
        np.testing.assert_allclose(moments[rows], expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert not table[[starts[1], starts[3]]].any()
    assert not moments[[starts[1], starts[3]]].any()
