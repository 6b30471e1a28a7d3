"""What TensorFlow must be told of GPUs before it uses them.

set_up_gpus()      # before the first tensor; nothing where there is no GPU
"""

from __future__ import annotations

import tensorflow as tf


def set_up_gpus() -> None:
    """Compute float32 products in float32, and take memory as it is needed.

    TensorFlow would else round the factors of float32 products to 10 bits (TF32), and scores differ from the exported
    graph's; and it would take all memory of every GPU at its first use, so that an evaluation beside a training run
    finds none.
    """
    tf.config.experimental.enable_tensor_float_32_execution(False)
    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # the program has used its GPUs before; how they share memory is settled
            return
