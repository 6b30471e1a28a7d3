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
    """The published step: per field dense gradient, L2, clip, Adam; warmed-up Adam on the dense weights.

    Beside it the variants: each clip, LAMB and LARS with a trust ratio per table, linear column and dense matrix,
    updates of the rows in the batch alone, a cosine over the run.
    """

    def __init__(self, name, tables, dense, settings):
        plain = {
            "clip_norm": None,
            "optimizer": "adam",
            "update": "dense",
            "lr_decay": "constant",
            "total_steps": 1,
            "beta_1": 0.9,
        }
        self.name, self.settings, self.step = name, plain | settings, 0
        self.tables = [np.array(table, np.float64) for table in tables]
        self.dense = [np.array(value, np.float64) for value in dense]
        self.moments = {}
        self.clipped = []

    def train(self, ids, numbers, labels):
        s = self.settings
        done = self.step / s["total_steps"]
        falls = {"cosine": 0.5 * (1 + np.cos(np.pi * done)), "cooldown": 1.0 if done < 0.5 else 2 - 2 * done}
        decay = falls.get(s["lr_decay"], 1.0)
        self.step += 1
        rows = np.stack([table[ids[:, f]] for f, table in enumerate(self.tables)], axis=1)
        loss, of_rows, of_dense = gradients(self.name, rows, numbers.astype(np.float64), labels, self.dense)
        grads, counts = [], []
        for f, table in enumerate(self.tables):
            counts.append(np.bincount(ids[:, f], minlength=len(table)))
            penalised = np.ones(len(table)) if s["update"] == "dense" else counts[f] > 0
            grads.append(2 * s["l2"] * table * penalised[:, None])
            np.add.at(grads[f], ids[:, f], of_rows[:, f])
        shrinks = self._clip([g[:, :-1] for g in grads], counts)
        self.clipped = [int(((shrink < 1) & (n > 0)).sum()) for shrink, n in zip(shrinks, counts, strict=True)]
        for f, table in enumerate(self.tables):
            grads[f][:, :-1] *= shrinks[f][:, None]
            chosen = slice(None) if s["update"] == "dense" else counts[f] > 0
            for part, columns in (("rows", slice(0, -1)), ("linear", slice(-1, None))):
                self._update((part, f), table[:, columns], grads[f][:, columns], s["lr_embed"] * decay, chosen)
        rate = s["lr_dense"] * min(1, self.step / max(s["warmup_steps"], 1)) * decay
        of_dense[0] = of_dense[0] + 2 * s["l2"] * self.dense[0]
        for index, gradient in enumerate(of_dense):
            self._update(("dense", index), self.dense[index], np.reshape(gradient, self.dense[index].shape), rate)
        return loss

    def first_moment(self, field):
        """Of the embeddings and linear weights, (V_f, D+1)."""
        return np.concatenate((self.moments["rows", field][0], self.moments["linear", field][0]), axis=1)

    def _clip(self, grads, counts):
        """What each row's gradient is multiplied by, per field (V_f,)."""
        s, size = self.settings, np.linalg.norm
        whole = [np.ones(len(g)) for g in grads]
        if s["clip"] == "none":
            return whole
        if s["clip"] == "global":
            norm = size(np.concatenate(grads))
            return [min(1, s["clip_norm"] / norm) * one for one in whole]
        if s["clip"] == "field":
            return [min(1, s["clip_norm"] / size(g)) * one for g, one in zip(grads, whole, strict=True)]
        shrinks = []
        for g, n, table in zip(grads, counts, self.tables, strict=True):
            w, norms = table[:, :-1], np.maximum(size(g, axis=1), 1e-300)
            if s["clip"] == "column":
                shrinks.append(np.minimum(1, np.maximum(n, 1) * s["clip_norm"] / norms))
                continue
            c = s["clip_ratio"]
            floor = c * np.sqrt(w.shape[1]) * s["bound"]
            if s["clip"] == "adaptive_field":
                shrinks.append(np.full(len(w), min(1, c * max(size(w), floor) / size(g))))
            else:
                shrinks.append(np.minimum(1, np.maximum(n, 1) * c * np.maximum(size(w, axis=1), floor) / norms))
        return shrinks

    def _update(self, name, weight, gradient, rate, chosen=...):
        """In place, and for the chosen rows alone."""
        moments = self.moments.setdefault(name, (np.zeros(weight.shape), np.zeros(weight.shape)))
        m, v, g, t = moments[0][chosen], moments[1][chosen], gradient[chosen], self.step
        optimizer = self.settings["optimizer"]
        if optimizer == "lars":
            m = 0.9 * m + rate * self._trust(weight, g, 0.001) * g
            change = m
        else:
            b = self.settings["beta_1"]
            m, v = b * m + (1 - b) * g, 0.999 * v + 0.001 * g**2
            unbiased = m / (1 - b**t), v / (1 - 0.999**t)
            if optimizer == "lamb":
                direction = unbiased[0] / (np.sqrt(unbiased[1]) + 1e-6)
                change = rate * self._trust(weight, direction, 1.0) * direction
            else:  # Keras's Adam adds its epsilon to the biased root
                change = rate * unbiased[0] * np.sqrt(1 - 0.999**t) / (np.sqrt(v) + 1e-7)
        moments[0][chosen], moments[1][chosen] = m, v
        weight[chosen] -= change

    @staticmethod
    def _trust(weight, direction, scale):
        norms = np.linalg.norm(weight), np.linalg.norm(direction)
        return scale * norms[0] / norms[1] if weight.ndim > 1 and min(norms) > 0 else 1.0
