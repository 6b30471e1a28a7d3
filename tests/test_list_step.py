"""The training step on lists and a shared table equals a numpy step with true counts."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.config import ModelConfig
from ctrfast.models import build_model
from ctrfast.models.pooling import Pooling
from ctrfast.optim.step_settings import StepSettings
from ctrfast.optim.table_optimizer import TableOptimizer
from ctrfast.step import Execution, TrainStep
from tests.list_oracle import ListTrainer
from tests.models.test_pooling import FIELDS, FITTED, ITEMS, TAGS, fused, some_ids
from tests.test_step import SETTINGS

B, STEPS, D = 48, 8, 6
FORMS = {
    "whole": Execution(None, False, 0),
    "touched": Execution(None, False, 1e9),
    "micro-batches": Execution(20, False, 0),
    "jit": Execution(None, True, 0),
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
    optimizer = TableOptimizer(
        StepSettings(**settings), tf.Variable(start), starts, model.linear_variables, model.deep_variables
    )
    tables = [start[: ITEMS - 1], start[ITEMS : ITEMS + TAGS - 1]]
    oracle = ListTrainer(name, tables, FIELDS, [v.numpy() for v in model.dense_variables], settings)
    step = TrainStep(model, optimizer, B, FORMS[form], pooling=Pooling.of(FITTED))
    fired = 0
    for index in range(STEPS):
        ids = some_ids(B, seed=index)
        numbers, labels = rng.normal(size=(B, 1)).astype(np.float32), (rng.random(B) < 0.3).astype(np.float32)
        loss, present, clipped = step(fused(ids), numbers, labels)
        assert float(loss) == pytest.approx(oracle.train(ids, numbers, labels), abs=2e-6)
        np.testing.assert_array_equal(present.numpy()[[0, 2]], [np.count_nonzero(n) for n in oracle.counts])
        np.testing.assert_allclose(clipped.numpy()[[0, 2]], oracle.clipped, atol=1)
        fired += sum(oracle.clipped)
    assert fired > 20
    table, moments = optimizer.table.numpy(), optimizer.state()["table.first"].numpy()
    for t, rows in enumerate((slice(0, ITEMS - 1), slice(ITEMS, ITEMS + TAGS - 1))):
        np.testing.assert_allclose(table[rows], oracle.tables[t], rtol=0, atol=5e-6)
        expected = oracle.first_moment(t)
        np.testing.assert_allclose(moments[rows], expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert not table[[starts[1], starts[3]]].any()
    assert not moments[[starts[1], starts[3]]].any()
