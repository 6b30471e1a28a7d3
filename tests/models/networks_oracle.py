"""Forward passes of the networks in numpy, one impression and one pair of fields at a time where that is clearer.

They read a network's weights, and share no code with it.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np


def logits(model, rows, numbers):
    """rows (B, F, D+1), numbers (B, N) -> (B,), in float64."""
    rows, numbers = rows.astype(np.float64), numbers.astype(np.float64)
    e, linear = rows[:, :, :-1], rows[:, :, -1]
    first = linear.sum(1) + numbers @ value(model.linear.weights_of_numbers)[:, 0] + value(model.linear.bias)
    return first + OWN[model.config.name](model, e, numbers)


def value(variable):
    return variable.numpy().astype(np.float64)


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def standardised(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def normed(x, layer):
    return standardised(x) * value(layer.gamma) + value(layer.beta)


def dense(x, layer):
    out = x @ value(layer.kernel)
    return out + value(layer.bias) if layer.use_bias else out


def mlp_vector(x, mlp):
    *hidden, (kernel, bias) = [(value(k), value(b)) for k, b in zip(mlp.kernels, mlp.biases, strict=True)]
    for k, b in hidden:
        x = relu(x @ k + b)
    return x @ kernel + bias


def mlp(x, model):
    return mlp_vector(x, model.mlp)[:, 0]


def joined(e, x):
    return np.concatenate((e.reshape(len(e), -1), x), axis=1)


def pairs(e):
    return [(i, j) for i, j in combinations(range(e.shape[1]), 2)]


def fm(model, e, x):
    return sum((e[:, i] * e[:, j]).sum(1) for i, j in pairs(e))


def fwfm(model, e, x):
    weights = value(model.pairs.pair_weights)
    return sum(r * (e[:, i] * e[:, j]).sum(1) for r, (i, j) in zip(weights, pairs(e), strict=True))


def afm(model, e, x):
    products = np.stack([e[:, i] * e[:, j] for i, j in pairs(e)], axis=1)  # (B, P, D)
    scores = dense(relu(dense(products, model.attention)), model.of_attention)[:, :, 0]
    pooled = (softmax(scores, 1)[:, :, None] * products).sum(1)
    return pooled @ value(model.of_pairs)[:, 0]


def nfm(model, e, x):
    return mlp(np.concatenate((sum(e[:, i] * e[:, j] for i, j in pairs(e)), x), axis=1), model)


def pnn(model, e, x):
    if model.config.variant == "outer":
        s = e.sum(1)
        products = np.stack([np.outer(row, row).ravel() for row in s])
    else:
        products = np.stack([(e[:, i] * e[:, j]).sum(1) for i, j in pairs(e)], axis=1)
    return mlp(np.concatenate((joined(e, x), products), axis=1), model)


def dlrm(model, e, x):
    vectors, top = list(np.moveaxis(e, 1, 0)), []
    if x.shape[1]:
        z = relu(mlp_vector(x, model.bottom))
        vectors, top = [z, *vectors], [z]
    # DotInteraction puts out the lower triangle, row by row.
    products = [(vectors[i] * vectors[j]).sum(1)[:, None] for i in range(len(vectors)) for j in range(i)]
    return mlp(np.concatenate(top + products, axis=1), model)


def xdeepfm(model, e, x):
    F = e.shape[1]
    maps, sums = e, []
    for layer in model.cin:
        kernel = value(layer.kernel)
        count, width = maps.shape[1], kernel.shape[1]
        new = np.zeros((len(e), width, e.shape[2]))
        for h in range(width):
            for i in range(count):
                for j in range(F):
                    new[:, h] += kernel[i * F + j, h] * maps[:, i] * e[:, j]
        maps = new
        sums.append(maps.sum(2))
    return dense(np.concatenate(sums, axis=1), model.of_cin)[:, 0] + mlp(joined(e, x), model)


def autoint(model, e, x):
    fields = e
    for layer in model.layers_of_attention:
        query, key, values, residual = (dense(fields, projection) for projection in layer.projections)
        heads = []
        size = query.shape[2] // (model.config.heads or 2)
        for start in range(0, query.shape[2], size):
            part = slice(start, start + size)
            weights = softmax(query[:, :, part] @ key[:, :, part].transpose(0, 2, 1), 2)
            heads.append(weights @ values[:, :, part])
        fields = relu(np.concatenate(heads, axis=2) + residual)
    return dense(fields.reshape(len(e), -1), model.of_attention)[:, 0] + mlp(joined(e, x), model)


def fibinet(model, e, x):
    squeezed = e.mean(2)
    weights = relu(relu(squeezed @ value(model.weighted.inward)) @ value(model.weighted.outward))

    def bilinear(vectors, layer):
        kernel, variant = value(layer.kernel), model.config.variant or "interaction"
        out = []
        for number, (i, j) in enumerate(pairs(vectors)):
            matrix = kernel[{"all": 0, "each": i, "interaction": number}[variant]]
            out.append((vectors[:, i] @ matrix) * vectors[:, j])
        return np.concatenate(out, axis=1)

    both = bilinear(e, model.pairs), bilinear(e * weights[:, :, None], model.pairs_of_weighted)
    return mlp(np.concatenate((*both, x), axis=1), model)


def masknet(model, e, x):
    given = joined(e, x)
    start = joined(standardised(e) * value(model.field_scales) + value(model.field_shifts), x)

    def block(layer, inputs):
        mask = dense(relu(dense(given, layer.aggregate)), layer.project)
        return relu(normed(dense(mask * inputs, layer.hidden), layer.norm))

    if model.config.variant == "parallel":
        return mlp(np.concatenate([block(layer, start) for layer in model.blocks], axis=1), model)
    for layer in model.blocks:
        start = block(layer, start)
    return dense(start, model.of_blocks)[:, 0]


def final_mlp(model, e, x):
    inputs = joined(e, x)
    o = [relu(mlp_vector(inputs * 2 * sigmoid(value(g)), s)) for g, s in zip(model.gates, model.streams, strict=True)]
    return fused(o, model.fusion)


def fused(o, fusion):
    out = value(fusion.bias) + o[0] @ value(fusion.first)[:, 0] + o[1] @ value(fusion.second)[:, 0]
    kernel = value(fusion.kernel)
    size = kernel.shape[1]
    for head, matrix in enumerate(kernel):
        part = slice(head * size, (head + 1) * size)
        out = out + ((o[0][:, part] @ matrix) * o[1][:, part]).sum(1)
    return out


def crossed(model, e, x, step):
    start = current = joined(e, x)
    for layer in model.crosses:
        current = step(layer, start, current)
    return dense(current, model.of_crosses)[:, 0] + mlp(start, model)


def gdcn(layer, start, x):
    return start * (x @ value(layer.kernel) + value(layer.bias)) * sigmoid(x @ value(layer.gate)) + x


def eulernet(model, e, x):
    z = np.exp(value(model.log_lengths) + 1j * e)
    for layer in model.layers_of_euler:
        exponents = value(layer.exponents)
        length = np.sqrt(np.abs(z) ** 2 + 1e-8)
        lengths = np.einsum("bfd,fk->bkd", np.log(length), exponents) + value(layer.log_length)
        angles = np.einsum("bfd,fk->bkd", np.angle(z), exponents) + value(layer.angle)
        flat = z.reshape(len(z), -1)
        implicit = relu(dense(flat.real, layer.implicit)) + 1j * relu(dense(flat.imag, layer.implicit))
        z = implicit.reshape(lengths.shape) + np.exp(lengths + 1j * angles)
    flat = z.reshape(len(z), -1)
    return (dense(flat.real, model.of_real) + dense(flat.imag, model.of_imaginary))[:, 0]


def fcn(model, e, x):
    start = joined(e, x)

    def cross(layer, factor, inputs):
        c = inputs @ value(layer.kernel)
        masked = c * relu(normed(c, layer.norm))
        both = np.concatenate((c, masked), axis=1)[:, : inputs.shape[1]]
        return factor * (both + value(layer.bias)) + inputs

    low = high = start
    for layer in model.linear_order:
        low = cross(layer, start, low)
    for layer in model.exponential_order:
        high = cross(layer, high, high)
    return 0.5 * (dense(low, model.of_linear) + dense(high, model.of_exponential))[:, 0]


OWN = {
    "afm": afm,
    "autoint": autoint,
    "deep_fwfm": lambda model, e, x: fwfm(model, e, x) + mlp(joined(e, x), model),
    "dlrm": dlrm,
    "eulernet": eulernet,
    "fcn": fcn,
    "fibinet": fibinet,
    "final_mlp": final_mlp,
    "fm": fm,
    "fwfm": fwfm,
    "gdcn": lambda model, e, x: crossed(model, e, x, gdcn),
    "lr": lambda model, e, x: 0.0,
    "masknet": masknet,
    "nfm": nfm,
    "pnn": pnn,
    "xdeepfm": xdeepfm,
}
