"""The laboratory: runs and sweeps as pandas frames, and the pictures that show what a scaling rule does.

    frame = runs("sweeps/rules")                                    # a row per run
    draw_auc_by_batch_size(frame, published="criteo").savefig("auc.png")
    draw_learning_curves(curves(frame[frame["batch_size"] == 8192]))

Frames come first and are for filtering: each picture takes one and gives a matplotlib `Figure`, on your `axes` where
you give some. A line is one choice of the settings that differ; means and spreads are over the seeds. A frame that a
picture cannot be drawn of is refused with a `DataError`. A notebook shows figures after `%matplotlib inline`.

run_frame, curve_frame                                 runs; what they recorded
batch_size, training_time                              final figures and times against the batch size
batch_size_page, sweep_picture                         the same for reports
far_values, point_names                                what would flatten a picture, or lie on each other in it
learning                                               curves, clipped shares and embedding norms over the epochs
compressed_frame, compression_front                    wide networks, compressed, beside small ones
id_frequency, id_gradients, reliability_diagram        of a dataset; of a run on a dataset
groups, seed_lines, named_fields, theme, figure_names  lines and their spread; looks
records, published, run_on_dataset                     what is read
"""

from ctrfast.lab.batch_size import draw_auc_by_batch_size, draw_by_batch_size, draw_change_by_scale
from ctrfast.lab.compressed_frame import compressed, form_means
from ctrfast.lab.compression_front import draw_front
from ctrfast.lab.curve_frame import curves
from ctrfast.lab.id_frequency import draw_id_frequency, id_counts
from ctrfast.lab.id_gradients import draw_gradient_norms, gradient_norms
from ctrfast.lab.learning import draw_clipped_share, draw_embedding_norm, draw_learning_curves
from ctrfast.lab.published import PUBLISHED_AUC
from ctrfast.lab.reliability_diagram import draw_reliability
from ctrfast.lab.run_frame import runs
from ctrfast.lab.training_time import draw_epoch_time, draw_pareto, draw_time_to_auc, time_to_auc

__all__ = [
    "PUBLISHED_AUC",
    "compressed",
    "curves",
    "draw_auc_by_batch_size",
    "draw_by_batch_size",
    "draw_change_by_scale",
    "draw_clipped_share",
    "draw_embedding_norm",
    "draw_epoch_time",
    "draw_front",
    "draw_gradient_norms",
    "draw_id_frequency",
    "draw_learning_curves",
    "draw_pareto",
    "draw_reliability",
    "draw_time_to_auc",
    "form_means",
    "gradient_norms",
    "id_counts",
    "runs",
    "time_to_auc",
]
