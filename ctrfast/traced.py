"""`tf.function` without AutoGraph, for all that ctrfast has TensorFlow trace.

    step = traced(take_step, jit_compile=True)

AutoGraph rewrites each Python function that is called, so that `if` and `for` may depend on tensors; it takes longer
than all else of a trace. Here they never do: what depends on a tensor is said by `tf.where`, `tf.cond` or
`tf.while_loop`, and an `if` on a tensor fails as it is traced. Keras's layers do as the function that calls them.
"""

from __future__ import annotations

from functools import partial

import tensorflow as tf

traced = partial(tf.function, autograph=False)
