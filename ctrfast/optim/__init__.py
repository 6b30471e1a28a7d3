"""Optimizers and batch-size scaling rules. `scaling` needs no TensorFlow; the other modules do."""
