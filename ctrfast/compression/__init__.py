"""Train large, then compress: wide networks trained briefly, pruned and packed, beside small ones trained longer.

    config = parse_compression({"wide": {"model.hidden": [[512, 512]], "epochs": [1], "seed": [1, 2, 3]}})
    result = compress(Dataset.open(Path("data/criteo")), config, Path("sweeps/wide"))    # ctrfast.compression.runner
    result.rows[0].auc, result.rows[0].row_latency_us

settings   two grids, and the forms that their runs are exported in
row        a form of a run, and what it came to
runner     two sweeps, then every form of every run, measured as a bundle; needs TensorFlow
latency    one row's time, of several forms in turns

`ctrfast.lab.compressed` and `draw_front` show what came of it.

Source: Li et al. 2020, "Train Large, Then Compress", arXiv:2002.11794.
Differs from the source: click networks. Whole hidden units are pruned, at once and by magnitude, and no training
follows; the source zeroes single weights, 15 % of them at a time, and trains on after each time until the network is
nearly as good as it was.
"""

from ctrfast.compression.row import CompressedRow
from ctrfast.compression.settings import PRESET, CompressionConfig, parse_compression

__all__ = [
    "PRESET",
    "CompressedRow",
    "CompressionConfig",
    "parse_compression",
]
