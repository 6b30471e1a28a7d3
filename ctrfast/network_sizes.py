"""What each network costs, before it is built: weights, multiply-adds and activations as closed forms.

Tests hold that weights and multiply-adds are those of the network's own graph. Needs no TensorFlow: plans and the API
ask it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ctrfast.model_config import (
    ATTENTION_WIDTH,
    BOTTOM_WIDTH,
    CIN_WIDTH,
    CROSS_LAYERS,
    EXPERT_RANK,
    EXPERTS,
    HEADS,
    MASK_WIDTH,
    ORDER_VECTORS,
    ModelConfig,
)
from ctrfast.task_config import MmoeSettings, PleSettings
from ctrfast.tower_config import MoeSettings, SharedSettings


@dataclass(frozen=True)
class Size:
    """Of a part, for one row.

    parameters: weights outside the table. activations: numbers that it puts out on the way.
    multiply_adds: its multiplications, each with the addition behind it where there is one: of matrix and inner
    products, as they are computed, and element by element. Sums, norms, activations, softmax and constant factors count
    nothing.
    """

    parameters: int = 0
    multiply_adds: int = 0
    activations: int = 0

    def __add__(self, other: Size) -> Size:
        """Both parts together."""
        return Size(
            self.parameters + other.parameters,
            self.multiply_adds + other.multiply_adds,
            self.activations + other.activations,
        )


class _Model(ModelConfig):
    """With the number of its tasks."""

    task_count: int = 1


def network_size(model: ModelConfig, id_fields: int, numeric_fields: int, tasks: int = 1) -> Size:
    """Of a whole network: looked-up rows, joined input, linear part and all else.

    Args:
        model: its settings.
        id_fields: F.
        numeric_fields: N.
        tasks: T, which heads are for, where it has some.
    """
    F, N, D = id_fields, numeric_fields, model.embedding_dim
    shared = Size(N + 1, N, F * (D + 1) + F * D + N)
    of_tasks = Size(tasks, tasks, tasks) if model.tasks is not None else Size()
    counted = _Model.model_construct(**dict(model), task_count=tasks)
    return shared + of_tasks + _OWN[model.name](counted, F, N)


def _mlp(width: int, hidden: Sequence[int], outputs: int = 1) -> Size:
    pairs = list(itertools.pairwise((width, *hidden, outputs)))
    return Size(sum((i + 1) * o for i, o in pairs), sum(i * o for i, o in pairs), sum(hidden))


def _tower(model: _Model, width: int, hidden: Sequence[int] | None = None, outputs: int = 1) -> Size:
    """Of the deep part on an input of this width; by default the configured one, with a logit, or with heads."""
    if hidden is None:
        return _plain_tower(model, width, model.hidden, 1) if model.tasks is None else _heads(model, width)
    return _plain_tower(model, width, hidden, outputs)


def _plain_tower(model: ModelConfig, width: int, hidden: Sequence[int], outputs: int) -> Size:
    tower = model.tower
    if isinstance(tower, SharedSettings):
        last, repeats = hidden[-1], tower.repeats
        block = _mlp(last, hidden[:-1], last) + Size(0, 0, last)
        applied = Size(block.parameters, repeats * block.multiply_adds, repeats * block.activations)
        size = _mlp(width, (last,), outputs) + applied
        return size + _norms(tower.norm, last + repeats * sum(hidden), last + sum(hidden))
    if not isinstance(tower, MoeSettings):
        return _mlp(width, hidden, outputs) + _norms(tower.norm, sum(hidden), sum(hidden))
    E, is_shared = tower.experts, tower.across_depth == "shared"
    size = _mlp(width, hidden[:1], 0) + Size((hidden[-1] + 1) * outputs, hidden[-1] * outputs, 0)
    for index, (inward, outward) in enumerate(itertools.pairwise(hidden)):
        mixture = Size(E * ((inward + 1) * outward + inward), E * (inward * outward + inward + 1), E * (outward + 3))
        size += Size(0 if is_shared and index else mixture.parameters, mixture.multiply_adds, mixture.activations)
        size += Size(0, E * outward, outward)
    return size + _norms(tower.norm, sum(hidden), hidden[0])


def _heads(model: _Model, width: int) -> Size:
    tasks, T, last = model.tasks, model.task_count, model.hidden[-1]
    own = tasks.hidden if tasks is not None else ()
    end = _mlp(last, own) + _norms(model.tower.norm, sum(own), sum(own))
    size = _times(T, end)
    if isinstance(tasks, MmoeSettings):
        return size + _level(model, width, 0, tasks.experts, is_last=True)
    if isinstance(tasks, PleSettings):
        for level in range(tasks.levels):
            inward, is_last = last if level else width, level == tasks.levels - 1
            size += _level(model, inward, tasks.experts, tasks.shared_experts, is_last=is_last)
        return size
    return size + _plain_tower(model, width, model.hidden, 0)


def _level(model: _Model, width: int, own: int, shared: int, *, is_last: bool) -> Size:
    """Of experts of each task and of all, with their gates."""
    T, last = model.task_count, model.hidden[-1]
    gate = _gate(width, own + shared, last)
    size = _times(T * own + shared, _plain_tower(model, width, model.hidden, 0)) + _times(T, gate)
    return size if is_last else size + _gate(width, T * own + shared, last)


def _gate(width: int, experts: int, outputs: int) -> Size:
    return Size(width * experts, width * experts + experts * outputs, experts * (outputs + 1) + outputs)


def _times(count: int, size: Size) -> Size:
    return Size(count * size.parameters, count * size.multiply_adds, count * size.activations)


def _norms(norm: str, widths: int, biases: int) -> Size:
    """Scales and shifts of norms of so many places; batch norms take the place of so many biases."""
    if norm == "none":
        return Size()
    return Size(2 * widths - (biases if norm == "batch" else 0), 0, widths)


def _beside_tower(model: _Model) -> Size:
    """Of a term that joins the tower's logits: times a weight of each task."""
    return Size(0, model.task_count if model.tasks is not None else 0, 0)


def _pairs(fields: int) -> int:
    return fields * (fields - 1) // 2


def _joined(model: _Model, F: int, N: int) -> int:
    return F * model.embedding_dim + N


def _wide_deep(model: _Model, F: int, N: int) -> Size:
    return _tower(model, _joined(model, F, N))


def _lr(model: _Model, F: int, N: int) -> Size:  # noqa: ARG001  (all have one form)
    return Size()


def _fm(model: _Model, F: int, N: int) -> Size:  # noqa: ARG001
    return Size(0, (F + 1) * model.embedding_dim, 2 * model.embedding_dim)


def _fwfm(model: _Model, F: int, N: int) -> Size:  # noqa: ARG001
    return Size(_pairs(F), F * F * model.embedding_dim + _pairs(F), F * F + _pairs(F))


def _nfm(model: _Model, F: int, N: int) -> Size:
    return _fm(model, F, N) + _tower(model, model.embedding_dim + N)


def _afm(model: _Model, F: int, N: int) -> Size:  # noqa: ARG001
    D, A, P = model.embedding_dim, model.interaction_width or ATTENTION_WIDTH, _pairs(F)
    return Size(D * A + A + A + D, P * (2 * D + D * A + A + 1), P * (2 * D + A + 2))


def _pnn(model: _Model, F: int, N: int) -> Size:
    D, P = model.embedding_dim, _pairs(F)
    if model.variant == "outer":
        return Size(0, D * D, D + D * D) + _tower(model, _joined(model, F, N) + D * D)
    return Size(0, F * F * D, F * F + P) + _tower(model, _joined(model, F, N) + P)


def _dlrm(model: _Model, F: int, N: int) -> Size:
    D, width = model.embedding_dim, model.interaction_width or BOTTOM_WIDTH
    bottom = _mlp(N, (width,), D) + Size(0, 0, D) if N else Size()
    vectors = F + (N > 0)
    products = Size(0, vectors * vectors * D, vectors * vectors + _pairs(vectors))
    return bottom + products + _tower(model, (D if N else 0) + _pairs(vectors))


def _xdeepfm(model: _Model, F: int, N: int) -> Size:
    D, H, L = model.embedding_dim, model.interaction_width or CIN_WIDTH, model.cross_layers or CROSS_LAYERS
    size = Size(L * H, L * H, L * H) + _tower(model, _joined(model, F, N)) + _beside_tower(model)
    inward = (F, *[H] * (L - 1))
    for maps in inward[:-1]:
        size += Size(maps * F * H, D * maps * F * (1 + H), D * (maps * F + H))
    return size + Size(inward[-1] * F * H, inward[-1] * F * (D + H), inward[-1] * F)  # the last is summed over D first


def _autoint(model: _Model, F: int, N: int) -> Size:
    D, A, L = model.embedding_dim, model.interaction_width or ATTENTION_WIDTH, model.cross_layers or CROSS_LAYERS
    size = Size(F * A, F * A, 0) + _tower(model, _joined(model, F, N)) + _beside_tower(model)
    for inward in (D, *[A] * (L - 1)):
        heads = model.heads or HEADS
        size += Size(4 * inward * A, F * 4 * inward * A + 2 * F * F * A, 6 * F * A + 2 * heads * F * F)
    return size


def _fibinet(model: _Model, F: int, N: int) -> Size:
    D, P, reduced = model.embedding_dim, _pairs(F), max(1, F // 3)
    matrices = {"all": 1, "each": F}.get(model.variant or "", P)
    turned = F if model.variant == "each" else P
    weighted = Size(2 * F * reduced, 2 * F * reduced + F * D, F * D + 2 * F + reduced)
    pairs = Size(matrices * D * D, turned * D * D + P * D, 4 * P * D)
    return weighted + pairs + pairs + _tower(model, 2 * P * D + N)


def _masknet(model: _Model, F: int, N: int) -> Size:
    W, H, L = _joined(model, F, N), model.interaction_width or MASK_WIDTH, model.cross_layers or CROSS_LAYERS
    is_serial = model.variant != "parallel"
    size = Size(2 * F * model.embedding_dim, 0, 2 * W)
    for index in range(L):
        inputs = H if is_serial and index else W
        hidden = 2 * inputs  # of the mask
        parameters = (W + 1) * hidden + (hidden + 1) * inputs + inputs * H + 2 * H
        products = W * hidden + hidden * inputs + inputs + inputs * H
        size += Size(parameters, products, hidden + 2 * inputs + 3 * H)
    return size + (Size(H + 1, H, 0) if is_serial else _tower(model, L * H))


def _final_mlp(model: _Model, F: int, N: int) -> Size:
    W, heads, last = _joined(model, F, N), model.heads or HEADS, model.hidden[-1]
    stream = _tower(model, W, model.hidden, 0) + Size(W, W, W)
    fused = last * last // heads
    return stream + stream + Size(2 * last + fused + 1, 3 * last + fused, 2 * last)


def _crosses(model: _Model, F: int, N: int, parameters: int, products: int, activations: int) -> Size:
    """Of a network of crosses beside an MLP, from what one cross costs."""
    W, L = _joined(model, F, N), model.cross_layers or CROSS_LAYERS
    crosses = Size(L * parameters + W, L * products + W, L * activations)
    return crosses + _tower(model, W) + _beside_tower(model)


def _dcn(model: _Model, F: int, N: int) -> Size:
    W = _joined(model, F, N)
    return _crosses(model, F, N, 2 * W, 2 * W, W)


def _dcn_v2(model: _Model, F: int, N: int) -> Size:
    W, rank = _joined(model, F, N), model.low_rank
    matrix = 2 * W * rank if rank else W * W
    return _crosses(model, F, N, matrix + W, matrix + W, 2 * W)


def _dcn_mix(model: _Model, F: int, N: int) -> Size:
    W, E, R = _joined(model, F, N), model.experts or EXPERTS, model.low_rank or EXPERT_RANK
    matrices = E * R * (2 * W + R)
    return _crosses(model, F, N, matrices + W * (E + 1), matrices + W * (E + 1) + E * R, 2 * W + 2 * E * R)


def _gdcn(model: _Model, F: int, N: int) -> Size:
    W = _joined(model, F, N)
    return _crosses(model, F, N, 2 * W * W + W, 2 * W * W + 2 * W, 4 * W)


def _eulernet(model: _Model, F: int, N: int) -> Size:  # noqa: ARG001
    D, K, L = model.embedding_dim, model.interaction_width or ORDER_VECTORS, model.cross_layers or CROSS_LAYERS
    size = Size(F + 2 * K * D, 2 * K * D + 2 * F * D, 2 * F * D)
    for fields in (F, *[K] * (L - 1)):
        implicit = fields * D * K * D
        size += Size(
            fields * K + 2 * K * D + implicit + K * D,
            2 * implicit + 2 * fields * K * D + 2 * fields * D + 2 * K * D,
            D * (4 * fields + 6 * K),
        )
    return size


def _fcn(model: _Model, F: int, N: int) -> Size:
    W, L = _joined(model, F, N), model.cross_layers or CROSS_LAYERS
    half = -(-W // 2)
    cross = Size(W * half + 2 * half + W, W * half + half + W, 3 * W)
    return Size(2 * (W + 1), 2 * W, 0) + Size(
        2 * L * cross.parameters, 2 * L * cross.multiply_adds, 2 * L * cross.activations
    )


_OWN: dict[str, Callable[[_Model, int, int], Size]] = {
    "afm": _afm,
    "autoint": _autoint,
    "dcn": _dcn,
    "dcn_mix": _dcn_mix,
    "dcn_v2": _dcn_v2,
    "deep_fwfm": lambda model, F, N: _fwfm(model, F, N) + _wide_deep(model, F, N),
    "deepfm": lambda model, F, N: _fm(model, F, N) + _wide_deep(model, F, N),
    "dlrm": _dlrm,
    "eulernet": _eulernet,
    "fcn": _fcn,
    "fibinet": _fibinet,
    "final_mlp": _final_mlp,
    "fm": _fm,
    "fwfm": _fwfm,
    "gdcn": _gdcn,
    "lr": _lr,
    "masknet": _masknet,
    "nfm": _nfm,
    "pnn": _pnn,
    "wide_deep": _wide_deep,
    "xdeepfm": _xdeepfm,
}
