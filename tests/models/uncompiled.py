"""All of ctrfast's functions as graphs alone, once this is imported, before the modules that trace functions.

XLA takes longer than all else of a test that runs a few steps of many networks, where compilation is not what it tests.
"""

import ctrfast

# isort: split
import tensorflow as tf

import ctrfast.traced


def _graph_alone(function, *, jit_compile=None, **options):
    return tf.function(function, autograph=False, **options)


ctrfast.traced.traced = _graph_alone
