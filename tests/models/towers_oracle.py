"""Forward passes of the towers in numpy, one row and one expert at a time. They share no code with the towers."""

from __future__ import annotations

import math

import numpy as np

from tests.models.networks_oracle import dense, fm, fused, joined, normed, sigmoid, softmax, value

ERF = np.vectorize(math.erf)
ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (1 + ERF(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
}


def logits(model, rows, numbers, *, is_training=False, balances=None, taken=None):
    """rows (B, F, D+1), numbers (B, N) -> (B,), in float64; appends each mixture's balance, and rows by expert (E,)."""
    rows, numbers = rows.astype(np.float64), numbers.astype(np.float64)
    e, linear = rows[:, :, :-1], rows[:, :, -1]
    first = of_linear(model, linear, numbers)
    inputs = joined(e, numbers)
    return first + BESIDE[model.config.name](model, e, inputs) + tower(model.mlp, inputs, is_training, balances, taken)


def final_mlp_logits(model, rows, numbers):
    """The same of FinalMLP, whose streams may be any towers."""
    rows, numbers = rows.astype(np.float64), numbers.astype(np.float64)
    inputs = joined(rows[:, :, :-1], numbers)
    gated = [inputs * 2 * sigmoid(value(gate)) for gate in model.gates]
    streams = [hidden(stream, each, 0) for stream, each in zip(model.streams, gated, strict=True)]
    return of_linear(model, rows[:, :, -1], numbers) + fused(streams, model.fusion)


def of_linear(model, linear, numbers):
    return linear.sum(1) + numbers @ value(model.linear.weights_of_numbers)[:, 0] + value(model.linear.bias)


def crosses(model, e, inputs):
    current = inputs
    for cross in model.crosses:
        kernel, bias = map(value, cross.trainable_variables)
        current = inputs * (current @ kernel + bias) + current
    return dense(current, model.of_crosses)[:, 0]


BESIDE = {"deepfm": fm, "dcn_v2": crosses}


def tower(layer, inputs, is_training=False, balances=None, taken=None):
    """The logit of a tower, (B,)."""
    outputs = hidden(layer, inputs, 1, is_training, balances, taken)
    return (outputs @ value(layer.affines[-1].kernel) + value(layer.affines[-1].bias))[:, 0]


def hidden(layer, inputs, last_layers, is_training=False, balances=None, taken=None):
    """What a tower's layers before the last ones give, of which it has one or none."""
    settings = layer.settings
    kernels = [value(affine.kernel) for affine in layer.affines]
    biases = [0.0 if affine.bias is None else value(affine.bias) for affine in layer.affines]
    outputs = inputs
    ends = iter(layer.ends)
    if settings.name == "moe":
        outputs = end(next(ends), outputs @ kernels[0] + biases[0], settings, is_training)
        for mixture in layer.by_depth:
            outputs = end(next(ends), mixed(mixture, outputs, settings, balances, taken), settings, is_training)
    else:
        steps = [*zip(kernels, biases, strict=True)]
        steps = steps[: len(steps) - last_layers]
        if settings.name == "shared":
            steps = [steps[0]] + steps[1:] * settings.repeats
        for kernel, bias in steps:
            outputs = end(next(ends), outputs @ kernel + bias, settings, is_training)
    assert next(ends, None) is None
    return outputs


def end(layer, products, settings, is_training):
    if settings.norm == "layer":
        products = normed(products, layer.norm)
    elif settings.norm == "batch":
        mean, variance = value(layer.norm.mean), value(layer.norm.variance)
        if is_training:
            mean, variance = products.mean(0), products.var(0)
        products = (products - mean) / np.sqrt(variance + 1e-5) * value(layer.norm.gamma) + value(layer.norm.beta)
    return ACTIVATIONS[settings.activation](products)


def mixed(mixture, inputs, settings, balances, counts):
    E, k = settings.experts, settings.top_k
    width = mixture.bias.shape[0] // E
    gates = softmax(inputs @ value(mixture.gate), 1)
    outputs, taken = np.zeros((len(inputs), width)), np.zeros(E)
    for row, (h, gate) in enumerate(zip(inputs, gates, strict=True)):
        for expert in np.argsort(-gate)[:k]:
            part = slice(expert * width, (expert + 1) * width)
            outputs[row] += gate[expert] * (h @ value(mixture.kernel)[:, part] + value(mixture.bias)[part])
            taken[expert] += 1
    if counts is not None:
        counts.append(taken)
    if balances is not None:
        balances.append(E / k * sum(taken / len(inputs) * gates.mean(0)))
    return outputs
