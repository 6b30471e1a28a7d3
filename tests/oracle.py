"""An independent numpy program of the networks and of the exact dense CowClip step, in float64.

It shares no code with ctrfast: gradients are written out by hand, the step follows the published code line by line, one
table per field.
"""

import numpy as np


def forward(name, rows, numbers, dense):
    """rows (B, F, D+1), numbers (B, N); dense: w (N, 1), bias, then kernel, bias per layer -> logits and a tape."""
    w, bias, *mlp = dense
    embeddings, linear = rows[:, :, :-1], rows[:, :, -1]
    hidden = [np.concatenate((embeddings.reshape(len(rows), -1), numbers), axis=1)]
    for kernel, offset in zip(mlp[0:-2:2], mlp[1:-2:2], strict=True):
        hidden.append(np.maximum(hidden[-1] @ kernel + offset, 0))
    logits = linear.sum(1) + (numbers @ w)[:, 0] + bias + (hidden[-1] @ mlp[-2] + mlp[-1])[:, 0]
    total = embeddings.sum(1)
    if name == "deepfm":
        F = rows.shape[1]
        logits = logits + sum((embeddings[:, i] * embeddings[:, j]).sum(1) for i in range(F) for j in range(i))
    return logits, (embeddings, hidden, total)


def forward_deep_cross(name, rows, numbers, dense, hidden_layers, cross_layers=3, low_rank=None):
    """The deep & cross networks; dense: w, bias, the crosses' weights layer by layer, w_c, then the MLP's."""
    w, bias, *rest = dense
    mlp = rest[len(rest) - 2 * (hidden_layers + 1) :]
    crosses, of_crosses = rest[: -len(mlp) - 1], rest[-len(mlp) - 1]
    per_layer = len(crosses) // cross_layers
    start = np.concatenate((rows[:, :, :-1].reshape(len(rows), -1), numbers), axis=1)
    x = start
    for layer in range(cross_layers):
        weights = crosses[layer * per_layer : (layer + 1) * per_layer]
        if name == "dcn":
            kernel, offset = weights
            x = start * (x @ kernel) + offset + x
        elif name == "dcn_v2":
            *kernels, offset = weights
            product = x @ kernels[0] if len(kernels) == 1 else x @ kernels[0] @ kernels[1]
            x = start * (product + offset) + x
        else:
            inward, core, outward, gate, offset = weights
            experts, rank, _ = core.shape
            scores = np.exp(x @ gate)
            gates = scores / scores.sum(1, keepdims=True)
            mixed = 0
            for e in range(experts):
                inner = np.tanh(np.tanh(x @ inward[:, e * rank : (e + 1) * rank]) @ core[e])
                mixed = mixed + gates[:, e : e + 1] * (start * (inner @ outward[e] + offset))
            x = mixed + x
    hidden = start
    for kernel, offset in zip(mlp[0:-2:2], mlp[1:-2:2], strict=True):
        hidden = np.maximum(hidden @ kernel + offset, 0)
    deep = (hidden @ mlp[-2] + mlp[-1])[:, 0]
    return rows[:, :, -1].sum(1) + (numbers @ w)[:, 0] + bias + (x @ of_crosses)[:, 0] + deep


def gradients(name, rows, numbers, labels, dense):
    """Mean loss, gradient of each looked-up row (B, F, D+1), gradients of the dense weights."""
    logits, (embeddings, hidden, total) = forward(name, rows, numbers, dense)
    loss = np.mean(np.logaddexp(0, logits) - labels * logits)
    d = (1 / (1 + np.exp(-logits)) - labels) / len(labels)  # (B,)
    mlp = dense[2:]
    grads = [hidden[-1].T @ d[:, None], d.sum(keepdims=True)]
    back = d[:, None] @ mlp[-2].T
    for layer in range(len(mlp) // 2 - 2, -1, -1):
        back = back * (hidden[layer + 1] > 0)
        grads = [hidden[layer].T @ back, back.sum(0), *grads]
        back = back @ mlp[2 * layer].T
    B, F, D = embeddings.shape
    of_rows = back[:, : F * D].reshape(B, F, D)
    if name == "deepfm":
        of_rows = of_rows + d[:, None, None] * (total[:, None, :] - embeddings)
    of_linear = np.repeat(d[:, None, None], F, axis=1)
    return loss, np.concatenate((of_rows, of_linear), axis=2), [numbers.T @ d[:, None], d.sum(), *grads]


class Trainer:
    """The published step: per field dense gradient, L2, clip, Adam; warmed-up Adam on the dense weights."""

    def __init__(self, name, tables, dense, settings):
        self.name, self.settings, self.step = name, settings, 0
        self.tables = [np.array(table, np.float64) for table in tables]
        self.dense = [np.array(value, np.float64) for value in dense]
        self.moments = {}
        self.clipped = []

    def train(self, ids, numbers, labels):
        s = self.settings
        self.step += 1
        rows = np.stack([table[ids[:, f]] for f, table in enumerate(self.tables)], axis=1)
        loss, of_rows, of_dense = gradients(self.name, rows, numbers.astype(np.float64), labels, self.dense)
        clipped = []
        for f, table in enumerate(self.tables):
            gradient, counts = 2 * s["l2"] * table, np.bincount(ids[:, f], minlength=len(table))
            np.add.at(gradient, ids[:, f], of_rows[:, f])
            embedding = gradient[:, :-1]
            if s["clip_ratio"]:
                floor = s["clip_ratio"] * np.sqrt(table.shape[1] - 1) * s["bound"]
                largest = np.maximum(np.linalg.norm(table[:, :-1], axis=1), floor)
                limit = np.maximum(counts, 1) * s["clip_ratio"] * largest
                norm = np.linalg.norm(embedding, axis=1)
                embedding *= np.minimum(1, limit / np.maximum(norm, 1e-300))[:, None]
                clipped.append(int(((norm > limit) & (counts > 0)).sum()))
            table -= self._adam(("table", f), gradient, s["lr_embed"])
        self.clipped = clipped
        rate = s["lr_dense"] * min(1, self.step / max(s["warmup_steps"], 1))
        of_dense[0] = of_dense[0] + 2 * s["l2"] * self.dense[0]
        for index, gradient in enumerate(of_dense):
            self.dense[index] = self.dense[index] - self._adam(("dense", index), gradient, rate)
        return loss

    def _adam(self, name, gradient, rate):
        m, v = self.moments.get(name, (0, 0))
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        self.moments[name] = (m, v)
        return rate * np.sqrt(1 - 0.999**self.step) / (1 - 0.9**self.step) * m / (np.sqrt(v) + 1e-7)
