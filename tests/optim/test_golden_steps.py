"""The exact dense CowClip reproduces steps that an independent program made (tests/golden)."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.optim.row_optimizer import RowOptimizer
from ctrfast.optim.row_table import RowTable
from ctrfast.optim.step_settings import StepSettings
from ctrfast.optim.table_optimizer import TableOptimizer

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "cowclip_steps.json").read_text())["cases"]
FIELDS = 3


@pytest.fixture(scope="module")
def arrays():
    with np.load(GOLDEN / "cowclip_steps.npz") as file:
        return dict(file)


@pytest.mark.parametrize("in_place", [False, True], ids=["whole", "in place"])
@pytest.mark.parametrize("case", CASES)
def test_fused_table_reproduces_the_golden_steps(arrays, case, in_place):
    settings = CASES[case]
    start = [np.c_[arrays[f"rows0_{f}"], arrays[f"linear0_{f}"]] for f in range(FIELDS)]
    sizes = [len(rows) for rows in start]
    offsets = np.cumsum([0, *sizes[:-1]])
    table = tf.Variable(np.concatenate(start).astype(np.float32))
    step_settings = StepSettings(
        lr_dense=1.0,
        lr_embed=settings["lr_embed"],
        l2=settings["l2"],
        clip="adaptive_column" if settings["clip_ratio"] else "none",
        clip_ratio=settings["clip_ratio"],
        bound=settings["bound"],
        warmup_steps=0,
        total_steps=1,
    )
    starts = [int(offset) for offset in offsets]
    if in_place:
        rows = RowTable(step_settings, table.numpy(), starts, most_ids=arrays["ids"][0].size)
        optimizer = RowOptimizer(step_settings, rows, table, [], [])
    else:
        optimizer = TableOptimizer(step_settings, table, starts, [], [])
        whole = tf.function(lambda ids, gradients: optimizer.apply(ids, gradients, []))

    def apply(ids, gradients):
        if not in_place:
            return whole(ids, gradients)
        rows.take(ids)
        rows.settle_some()
        rows.add(ids, gradients)
        return optimizer.update([])

    shares = []
    for ids, gradients in zip(arrays["ids"], arrays["row_gradients"], strict=True):
        fused = (ids + offsets).astype(np.int32)
        present, clipped = apply(fused, gradients.astype(np.float32))
        assert np.asarray(present).tolist() == [len(np.unique(ids[:, f])) for f in range(FIELDS)]
        shares.append(float(np.sum(clipped) / np.sum(present)))

    np.testing.assert_allclose(shares, settings["clipped_share_per_step"], atol=1e-6)
    state = optimizer.state()
    for name, variable in (("rows", table), ("m", state["table.first"]), ("v", state["table.second"])):
        for f, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
            ours = np.asarray(variable)[offset : offset + size]
            np.testing.assert_allclose(ours[:, :-1], arrays[f"{case}/{name}_{f}"], rtol=0, atol=1e-6)
            if name == "rows":
                np.testing.assert_allclose(ours[:, -1:], arrays[f"{case}/linear_{f}"].reshape(-1, 1), rtol=0, atol=1e-6)
