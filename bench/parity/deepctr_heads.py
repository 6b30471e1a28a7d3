"""DeepCTR's networks of several labels and their weights under our names: the heads of `wide_deep`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import tensorflow as tf

from bench.parity import rows
from bench.parity.deepctr_weights import Layers, Weights, inputs_of, numbered, parameters_of
from bench.parity.golden import Golden
from bench.peers.deepctr_heads import LABELS, build

_OF_TASK = [5]
_WEIGHTS_STD = 0.7  # experts, their gates and the tasks' layers stand one behind the other
CASES: dict[str, dict[str, Any]] = {
    "heads_mmoe": {"kind": "mmoe", "experts": 3, "hidden": _OF_TASK},
    "heads_ple": {"kind": "ple", "experts": 2, "shared_experts": 1, "levels": 2, "hidden": _OF_TASK},
    "heads_shared_bottom": {"kind": "shared_bottom", "hidden": _OF_TASK},
}
_TASKS = range(len(LABELS))


def goldens() -> dict[str, Golden]:
    """By file name."""
    return {name: _golden(tasks) for name, tasks in CASES.items()}


def _golden(tasks: Mapping[str, Any]) -> Golden:
    settings = {"name": "wide_deep", "embedding_dim": rows.WIDTH, "hidden": list(rows.HIDDEN), "tasks": dict(tasks)}
    tf.keras.backend.clear_session()
    model = build(settings, rows.SIZES, rows.NUMBERS)
    draw = rows.Draws(_WEIGHTS_STD)
    for weight in model.weights:
        weight.assign(draw(weight.shape))
    layers = Layers(model, settings)
    ids, numbers = rows.ids(), rows.numbers(rows.NUMBERS)
    return Golden(
        model=settings,
        peer=f"DeepCTR {version('deepctr')}",
        peer_parameters=parameters_of(model),
        differences={
            "no linear part": sum(rows.SIZES) + rows.NUMBERS + 1,
            "each task's weight for what stands beside its layers": len(LABELS),
        },
        ids=ids + rows.OFFSETS,
        numbers=numbers,
        table=rows.table(layers.embeddings("sparse_emb"), None),
        weights=dict([*_own_layers(layers), *_SHARED[tasks["kind"]](layers)]),
        logits=np.concatenate([part.numpy() for part in model(inputs_of(ids, numbers))], axis=1),
    )


def _own_layers(layers: Layers) -> Iterator[tuple[str, Any]]:
    """Each task's layers and its bias: ours is the common one times the task's weight, plus one of its own, 0 here."""
    biases = np.concatenate([layers.named(label).global_bias.numpy() for label in LABELS])
    yield "linear.weights_of_numbers", np.zeros((rows.NUMBERS, 1))
    yield "linear.bias", biases[0]
    yield "shares_of_tasks", biases / biases[0]
    outputs = [layer.kernel.numpy() for layer in layers.all("Dense") if layer.kernel.shape[1] == 1]
    for task in _TASKS:
        yield from _dnn(layers, f"tower_{LABELS[task]}", f"mlp.of_tasks.{task}").items()
        yield f"mlp.of_tasks.{task}.kernels.{len(_OF_TASK)}", outputs[task]
        yield f"mlp.of_tasks.{task}.biases.{len(_OF_TASK)}", np.zeros(1)


def _shared_bottom(layers: Layers) -> Iterator[tuple[str, Any]]:
    yield from _dnn(layers, "dnn", "mlp.bottom").items()


def _mmoe(layers: Layers) -> Iterator[tuple[str, Any]]:
    for n in range(layers.settings["tasks"]["experts"]):
        yield from _dnn(layers, f"expert_{n}", f"mlp.levels.0.shared_experts.{n}").items()
    for task in _TASKS:
        yield f"mlp.levels.0.gates.{task}.kernel", _kernel(layers, f"gate_softmax_{LABELS[task]}")


def _ple(layers: Layers) -> Iterator[tuple[str, Any]]:
    tasks = layers.settings["tasks"]
    for n in range(tasks["levels"]):
        theirs, ours = f"level_{n}_", f"mlp.levels.{n}"
        for task in _TASKS:
            for expert in range(tasks["experts"]):
                name = f"{theirs}task_{LABELS[task]}_expert_specific_{expert}"
                yield from _dnn(layers, name, f"{ours}.experts.{task * tasks['experts'] + expert}").items()
            yield f"{ours}.gates.{task}.kernel", _kernel(layers, f"{theirs}gate_softmax_specific_{LABELS[task]}")
        for expert in range(tasks["shared_experts"]):
            yield from _dnn(layers, f"{theirs}expert_shared_{expert}", f"{ours}.shared_experts.{expert}").items()
        if n < tasks["levels"] - 1:
            yield f"{ours}.shared_gate.kernel", _kernel(layers, f"{theirs}gate_softmax_shared")


_SHARED = {"mmoe": _mmoe, "ple": _ple, "shared_bottom": _shared_bottom}


def _dnn(layers: Layers, name: str, ours: str) -> Weights:
    layer = layers.named(name)
    kernels = numbered(f"{ours}.kernels", [kernel.numpy() for kernel in layer.kernels])
    return kernels | numbered(f"{ours}.biases", [bias.numpy() for bias in layer.bias])


def _kernel(layers: Layers, name: str) -> Any:
    return layers.named(name).kernel.numpy()
