"""The variables that the function being traced looks up by index (`tf.gather`, `Embedding`).

A gradient tells that only while it is sparse; a regularizer or a second use of the table makes it dense. The graph
still holds the lookup.

    @tf.function
    def loss(ids):
        rows = tf.gather(table, ids)
        looked_up([table, kernel])      # [table]
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

_GATHERS = ("ResourceGather", "GatherV2")
_READS = ("ReadVariableOp", "Identity")


def looked_up(variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    """Those of the variables that the current graph, or one around it, gathers rows of.

    Eager code leaves no graph: the answer is then empty. So it is for a lookup inside another `tf.function`.
    """
    if tf.executing_eagerly():
        return []
    handles = []
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        handles += [_source(op) for op in graph.get_operations() if op.type in _GATHERS]
        # Inside the graph a variable has a placeholder's handle, which stands for one outside.
        outside = {inner.ref(): outer for outer, inner in getattr(graph, "captures", ())}
        handles = [outside.get(handle.ref(), handle) for handle in handles]
        graph = getattr(graph, "outer_graph", None)
    refs = {handle.ref() for handle in handles}
    return [variable for variable in variables if variable.handle.ref() in refs]


def _source(gather: tf.Operation) -> tf.Tensor:
    """The handle of the variable that is gathered from. A mirrored variable is read as a whole before."""
    source = gather.inputs[0]
    while source.op.type in _READS:
        source = source.op.inputs[0]
    return source
