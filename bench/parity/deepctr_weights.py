"""DeepCTR's networks and their weights under our names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import tensorflow as tf

from bench.parity import rows
from bench.parity.golden import Array, Golden
from bench.peers.deepctr_networks import build

_HIDDEN = {"hidden": list(rows.HIDDEN)}
_CROSSES = {**_HIDDEN, "cross_layers": 2}
CASES: dict[str, dict[str, Any]] = {
    "afm": {"interaction_width": 3},
    "autoint": {**_CROSSES, "interaction_width": 6, "heads": 2},
    "dcn": _CROSSES,
    "dcn_mix": {**_CROSSES, "low_rank": 3, "experts": 2},
    "dcn_v2": _CROSSES,
    "deep_fwfm": _HIDDEN,
    "deepfm": _HIDDEN,
    "fibinet": {**_HIDDEN, "variant": "interaction"},
    "fibinet_all": {**_HIDDEN, "variant": "all"},
    "fibinet_each": {**_HIDDEN, "variant": "each"},
    "fm": {},
    "fwfm": {},
    "nfm": _HIDDEN,
    "pnn": {**_HIDDEN, "variant": "inner"},
    "wide_deep": _HIDDEN,
    "xdeepfm": {**_CROSSES, "interaction_width": 5},
}
_WIDTH = rows.FIELDS * rows.WIDTH + rows.NUMBERS  # of the MLP's input, in most networks
_PAIRS = rows.FIELDS * (rows.FIELDS - 1) // 2
_OUTPUT_BIAS = "the MLP's output has a bias beside the linear part's"
Weights = dict[str, Array]


def goldens() -> dict[str, Golden]:
    """By file name."""
    return {name: _golden(name, options) for name, options in CASES.items()}


def _golden(case: str, options: Mapping[str, Any]) -> Golden:
    name = "fibinet" if case.startswith("fibinet") else case
    settings = {"name": name, "embedding_dim": rows.WIDTH, **options}
    tf.keras.backend.clear_session()
    model = build(settings, rows.SIZES, rows.NUMBERS, task="regression")
    draw = rows.Draws()
    for weight in model.weights:
        weight.assign(draw(weight.shape))
    ids, numbers = rows.ids(), rows.numbers(rows.NUMBERS)
    layers = Layers(model, settings)
    has_linear = name != "pnn"
    own, differences = OWN[name](layers)
    linear = {
        "linear.weights_of_numbers": layers.one("Linear").kernel.numpy() if has_linear else np.zeros((rows.NUMBERS, 1)),
        "linear.bias": layers.one("PredictionLayer").global_bias.numpy()[0],
    }
    linear_weights = layers.embeddings("linear0sparse_emb") if has_linear else None
    if not has_linear:
        differences["no linear part"] = sum(rows.SIZES) + rows.NUMBERS
    return Golden(
        model=settings,
        peer=f"DeepCTR {version('deepctr')}",
        peer_parameters=parameters_of(model),
        differences=differences,
        ids=ids + rows.OFFSETS,
        numbers=numbers,
        table=rows.table(layers.embeddings("sparse_emb"), linear_weights),
        weights=linear | own,
        logits=model(inputs_of(ids, numbers)).numpy()[:, 0],
    )


def inputs_of(ids: Array, numbers: Array) -> Weights:
    """Columns by DeepCTR's names: ids (R, F), local to the field, and numbers (R, N)."""
    columns = {f"C{index + 1}": ids[:, index : index + 1] for index in range(rows.FIELDS)}
    return columns | {f"I{index + 1}": numbers[:, index : index + 1] for index in range(rows.NUMBERS)}


def parameters_of(model: tf.keras.Model) -> int:
    """All of its trained weights."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


class Layers:
    """A Keras model's layers, by class. settings: of the network."""

    def __init__(self, model: tf.keras.Model, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self._layers = {layer.name: layer for layer in model.layers}

    def all(self, kind: str) -> list[Any]:
        """In the order in which they were made, which Keras's names tell."""
        names = [name for name, layer in self._layers.items() if type(layer).__name__ == kind]
        return [self._layers[name] for name in sorted(names, key=lambda name: (len(name), name))]

    def named(self, name: str) -> Any:
        """The one that DeepCTR or its user gave this name."""
        return self._layers[name]

    def one(self, kind: str) -> Any:
        (layer,) = self.all(kind)
        return layer

    def embeddings(self, prefix: str) -> list[Array]:
        """Of all fields, in order."""
        return [self._layers[f"{prefix}_C{index + 1}"].embeddings.numpy() for index in range(rows.FIELDS)]

    def output(self, width: int) -> Array:
        """Kernel (width, 1) of the one dense layer of that width."""
        (kernel,) = [layer.kernel.numpy() for layer in self.all("Dense") if layer.kernel.shape[0] == width]
        return kernel

    def mlp(self, output: Array | None = None) -> Weights:
        """Its hidden layers, and the kernel from the last one to the logit. Its output has no bias."""
        hidden = self.one("DNN")
        output = self.output(rows.HIDDEN[-1]) if output is None else output
        kernels = [*(kernel.numpy() for kernel in hidden.kernels), output]
        biases = [*(bias.numpy() for bias in hidden.bias), np.zeros(1)]
        return numbered("mlp.kernels", kernels) | numbered("mlp.biases", biases)


def numbered(name: str, weights: list[Array], attribute: str = "") -> Weights:
    """Weights of one list of our network's."""
    return {f"{name}.{index}{attribute}": weight for index, weight in enumerate(weights)}


def _mlp(layers: Layers) -> tuple[Weights, dict[str, int]]:
    return layers.mlp(), {_OUTPUT_BIAS: 1}


def _afm(layers: Layers) -> tuple[Weights, dict[str, int]]:
    layer = layers.one("AFMLayer")
    return {
        "attention.kernel": layer.attention_W.numpy(),
        "attention.bias": layer.attention_b.numpy(),
        "of_attention.kernel": layer.projection_h.numpy(),
        "of_pairs": layer.projection_p.numpy(),
    }, {}


def _fwfm(layers: Layers) -> tuple[Weights, dict[str, int]]:
    strengths = layers.one("FwFMLayer").field_strengths.numpy()
    unused = {"weights of pairs that do not exist, (j, i) and (i, i)": _PAIRS - rows.FIELDS**2}
    return {"pairs.pair_weights": strengths[np.triu_indices(rows.FIELDS, k=1)]}, unused


def _deep_fwfm(layers: Layers) -> tuple[Weights, dict[str, int]]:
    weights, differences = _fwfm(layers)
    return weights | layers.mlp(), differences | {_OUTPUT_BIAS: 1}


def _beside_mlp(layers: Layers, width: int) -> tuple[Array, Weights]:
    """The kernel from what stands beside the MLP to the logit, and the MLP: DeepCTR joins both before that kernel."""
    output = layers.output(width + rows.HIDDEN[-1])
    return output[:width], layers.mlp(output[width:])


def _autoint(layers: Layers) -> tuple[Weights, dict[str, int]]:
    of_attention, mlp = _beside_mlp(layers, rows.FIELDS * layers.settings["interaction_width"])
    weights = {"of_attention.kernel": of_attention}
    for index, layer in enumerate(layers.all("InteractingLayer")):
        parts = [layer.W_Query, layer.W_key, layer.W_Value, layer.W_Res]
        name = f"layers_of_attention.{index}.projections"
        weights |= numbered(name, [part.numpy() for part in parts], ".kernel")
    return weights | mlp, {_OUTPUT_BIAS: 1}


def _crossed(layers: Layers, kernels: Weights, biases: list[Any], bias: str) -> Weights:
    of_crosses, mlp = _beside_mlp(layers, _WIDTH)
    of_biases = numbered("crosses", [each.numpy()[:, 0] for each in biases], bias)
    return {**kernels, **of_biases, "of_crosses.kernel": of_crosses, **mlp}


def _dcn(layers: Layers) -> tuple[Weights, dict[str, int]]:
    cross = layers.one("CrossNet")
    kernels = numbered("crosses", [kernel.numpy() for kernel in cross.kernels], ".kernel")
    return _crossed(layers, kernels, cross.bias, ".bias"), {_OUTPUT_BIAS: 1}


def _dcn_v2(layers: Layers) -> tuple[Weights, dict[str, int]]:
    cross = layers.one("CrossNet")
    kernels = numbered("crosses", [kernel.numpy().T for kernel in cross.kernels], "._dense.kernel")
    return _crossed(layers, kernels, cross.bias, "._dense.bias"), {_OUTPUT_BIAS: 1}


def _dcn_mix(layers: Layers) -> tuple[Weights, dict[str, int]]:
    cross = layers.one("CrossNetMix")
    gate = np.concatenate([gate.kernel.numpy() for gate in cross.gating], axis=1)  # (W, E), one for all layers
    weights: Weights = {}
    for index, (U, V, C) in enumerate(zip(cross.U_list, cross.V_list, cross.C_list, strict=True)):
        weights |= {
            f"crosses.{index}.inward": np.concatenate(list(V.numpy()), axis=1),  # (W, E*R)
            f"crosses.{index}.core": C.numpy().transpose(0, 2, 1),
            f"crosses.{index}.outward": U.numpy().transpose(0, 2, 1),
            f"crosses.{index}.gate": gate,
        }
    more = {"a gate for each layer; the peer's layers share one": (layers.settings["cross_layers"] - 1) * gate.size}
    return _crossed(layers, weights, cross.bias, ".bias"), {_OUTPUT_BIAS: 1, **more}


def _fibinet(layers: Layers) -> tuple[Weights, dict[str, int]]:
    D, is_each = rows.WIDTH, layers.settings["variant"] == "each"
    weights = {}
    for name, layer in zip(("pairs_of_weighted", "pairs"), layers.all("BilinearInteraction"), strict=True):
        matrices = (
            [layer.W.numpy()] if layers.settings["variant"] == "all" else [matrix.numpy() for matrix in layer.W_list]
        )
        weights[f"{name}.kernel"] = np.stack([*matrices, np.zeros((D, D))] if is_each else matrices)
    senet = layers.one("SENETLayer")
    for weight in (senet.W_1, senet.W_2):
        weight.assign(np.abs(weight.numpy()))  # so few fields have one hidden unit: it must not be closed for all rows
    weights |= {"weighted.inward": senet.W_1.numpy(), "weighted.outward": senet.W_2.numpy()}
    mlp = layers.mlp()
    # DeepCTR joins both products of a pair, then the pairs; we join the pairs, then both kinds of products.
    of_pairs = mlp["mlp.kernels.0"][: 2 * _PAIRS * D].reshape(_PAIRS, 2, D, -1)[:, ::-1]  # weighted last
    of_pairs = of_pairs.transpose(1, 0, 2, 3).reshape(2 * _PAIRS * D, -1)
    mlp["mlp.kernels.0"] = np.concatenate((of_pairs, mlp["mlp.kernels.0"][2 * _PAIRS * D :]))
    unused = {"matrices of the last field, which is never a pair's first": 2 * D * D} if is_each else {}
    return weights | mlp, {_OUTPUT_BIAS: 1, **unused}


def _pnn(layers: Layers) -> tuple[Weights, dict[str, int]]:
    mlp = layers.mlp()
    embeddings, products, numbers = np.split(
        mlp["mlp.kernels.0"], [rows.FIELDS * rows.WIDTH, rows.FIELDS * rows.WIDTH + _PAIRS]
    )
    mlp["mlp.kernels.0"] = np.concatenate((embeddings, numbers, products))
    return mlp, {_OUTPUT_BIAS: 1}


def _xdeepfm(layers: Layers) -> tuple[Weights, dict[str, int]]:
    cin, H = layers.one("CIN"), layers.settings["interaction_width"]
    weights = {"of_cin.kernel": layers.output(H * layers.settings["cross_layers"])}
    for index, (kernel, bias) in enumerate(zip(cin.filters, cin.bias, strict=True)):
        bias.assign(np.zeros(H))
        by_pair = kernel.numpy().reshape(rows.FIELDS, -1, H)  # (F, H', H): DeepCTR counts fields first, we count maps
        weights[f"cin.{index}.kernel"] = by_pair.transpose(1, 0, 2).reshape(-1, H)
    return weights | layers.mlp(), {_OUTPUT_BIAS: 1, "no biases in the CIN": -H * layers.settings["cross_layers"]}


OWN: dict[str, Callable[[Layers], tuple[Weights, dict[str, int]]]] = {
    "afm": _afm,
    "autoint": _autoint,
    "dcn": _dcn,
    "dcn_mix": _dcn_mix,
    "dcn_v2": _dcn_v2,
    "deep_fwfm": _deep_fwfm,
    "deepfm": _mlp,
    "fibinet": _fibinet,
    "fm": lambda _: ({}, {}),
    "fwfm": _fwfm,
    "nfm": _mlp,
    "pnn": _pnn,
    "wide_deep": _mlp,
    "xdeepfm": _xdeepfm,
}
