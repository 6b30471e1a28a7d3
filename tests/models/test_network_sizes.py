"""Multiply-adds of every network: the closed forms against a count of its graph's operations."""

import re

import pytest
import tensorflow as tf

from ctrfast.models import build_model
from ctrfast.network_sizes import network_size
from tests.models.contract_cases import CASES, config_of

F, T = 5, 3
OF_A_NORM = re.compile(r"(^|/)(norm|end_\d+)(_\d+)?/")  # `end_0`: norm, activation and dropout of a hidden layer


def multiplications(model, N):
    """Of one row, as TensorFlow computes it; those of weights alone are not a row's."""
    width = model.config.embedding_dim + 1
    inputs = tf.TensorSpec((1, F, width)), tf.TensorSpec((1, N))
    graph = tf.function(model.logits).get_concrete_function(*inputs).graph
    of_row, count = {tensor.ref() for tensor in graph.inputs[:2]}, 0
    for operation in graph.get_operations():
        is_of_row = [tensor.ref() in of_row for tensor in operation.inputs]
        if not any(is_of_row):
            continue
        of_row.update(tensor.ref() for tensor in operation.outputs)
        if not OF_A_NORM.search(operation.name):
            count += _of(operation, is_of_row)
    return count


def _of(operation, is_of_row):
    left, out = operation.inputs[0].shape, operation.outputs[0].shape
    if operation.type == "MatMul":
        return out.num_elements() * left[0 if operation.get_attr("transpose_a") else 1]
    if operation.type == "BatchMatMulV2":
        return out.num_elements() * left[-2 if operation.get_attr("adj_x") else -1]
    if operation.type == "Einsum":
        letters = operation.get_attr("equation").decode().partition("->")[0].split(",")
        sizes = {
            letter: size
            for part, tensor in zip(letters, operation.inputs, strict=True)
            for letter, size in zip(part, tensor.shape, strict=True)
        }
        count = 1
        for size in sizes.values():
            count *= size
        return count
    if operation.type == "Square":
        return out.num_elements()
    if operation.type == "Mul":
        is_constant = [tensor.op.type == "Const" for tensor in operation.inputs]
        return 0 if any(is_constant) else out.num_elements()
    assert "MatMul" not in operation.type, operation.type
    return 0


@pytest.mark.parametrize("case, N", [*((case, 2) for case in CASES), ("dlrm", 0), ("deepfm", 0), ("lr", 0)])
def test_multiply_adds_are_those_of_the_graph(case, N):
    config = config_of(case).model
    tasks = T if config.tasks else 1
    model = build_model(config, id_fields=F, numeric_fields=N, seed=1, tasks=tasks)
    counted = multiplications(model, N)
    assert counted == network_size(config, F, N, tasks).multiply_adds
    assert counted > 0 or (case, N) == ("lr", 0)
