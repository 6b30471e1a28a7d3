import ast
from pathlib import Path

import pytest
import tensorflow as tf
import tf_keras as keras

import ctrfast
from ctrfast.traced import traced

SOURCES = sorted(Path(ctrfast.__file__).parent.rglob("*.py"))


class Magnitude(keras.layers.Layer):
    """Works where AutoGraph rewrites it, and only there."""

    def call(self, number):
        if number < 0:
            number = -number
        return number


def test_no_function_is_rewritten_nor_any_layer_that_it_calls():
    layer, signature = Magnitude(), (tf.TensorSpec((), tf.float32),)
    assert tf.function(layer, input_signature=signature)(-2.0) == 2.0
    for function in (layer, layer.call):
        with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
            traced(function, input_signature=signature)(-2.0)


def test_all_that_is_traced_is_traced_so():
    users = [
        path.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "function" and ast.unparse(node.value) == "tf"
    ]
    assert users == ["traced.py"]
