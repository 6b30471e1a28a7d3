"""FuxiCTR's networks and their weights under our names.

FuxiCTR's package has the parts of LR and FinalMLP. MaskNet, GDCN, EulerNet and DCNv3 are files of its repository,
which its users copy: they come from a checkout.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.fuxictr_checkout import load
from bench.parity import rows
from bench.parity.golden import Array, Golden
from bench.parity.torch_weights import Weights, dense, draw, golden, mlp_weights, norm, value
from bench.peers.fuxictr_features import describe, inputs
from bench.peers.fuxictr_networks import Network
from bench.peers.fuxictr_whole import build
from bench.workload import Rows

HIDDEN = list(rows.HIDDEN)
_INPUT = rows.FIELDS * rows.WIDTH
# Of the files of FuxiCTR's repository: what was read; the Makefile has them in full.
COMMITS = {"MaskNet": "b0bdfa1", "GDCN": "7b98a49", "EulerNet": "45c36db", "DCNv3": "44649ad"}


def goldens(checkout: Path) -> dict[str, Golden]:
    """By file name. checkout: of github.com/reczoo/FuxiCTR."""
    return {
        "lr": _lr(),
        "final_mlp": _final_mlp(),
        "masknet_serial": _masknet(checkout, "serial"),
        "masknet_parallel": _masknet(checkout, "parallel"),
        "gdcn": _gdcn(checkout),
        "eulernet": _eulernet(checkout),
        "fcn": _fcn(checkout),
    }


def _fuxictr_rows(numbers: int = 0) -> dict[str, torch.Tensor]:
    return inputs(Rows(rows.ids(), rows.numbers(numbers), np.zeros(rows.ROWS, np.float32)))


def _fuxictr_embeddings(layer: nn.Module) -> list[Array]:
    layers = layer.embedding_layer.embedding_layers
    return [value(layers[f"C{index + 1}"].weight) for index in range(rows.FIELDS)]


def _part(settings: Mapping[str, Any], numbers: int) -> Network:
    feature_map = describe(rows.SIZES, numbers, rows.WIDTH)
    with tempfile.TemporaryDirectory() as folder:
        model = Network({"embedding_dim": rows.WIDTH, **settings}, feature_map, folder, task="regression")
    draw(model)
    return model


def _lr() -> Golden:
    numbers = rows.NUMBERS
    model = _part({"name": "lr"}, numbers)
    layer = model.first.linear
    of_numbers = [layer.embedding_layer.embedding_layer.embedding_layers[f"I{i + 1}"].weight for i in range(numbers)]
    return golden(
        {"name": "lr"},
        f"FuxiCTR {version('fuxictr')}, LogisticRegression",
        model,
        model(_fuxictr_rows(numbers))["y_pred"],
        {
            "linear.weights_of_numbers": np.concatenate([value(weight) for weight in of_numbers]),
            "linear.bias": value(layer.bias)[0],
        },
        {"vectors of the ids, which LR does not read": sum(rows.SIZES) * rows.WIDTH},
        # Our table has them all the same: their values must not matter.
        embeddings=[rows.Draws()((size, rows.WIDTH)) for size in rows.SIZES],
        linear=_fuxictr_embeddings(layer.embedding_layer),
        numbers=numbers,
    )


def _final_mlp() -> Golden:
    settings = {"name": "final_mlp", "hidden": HIDDEN, "heads": 2}
    model = _part(settings, 0)
    streams, fusion, selection = model.beside.streams, model.beside.fusion, model.beside.gates
    weights: Weights = {}
    for index, (gate, context) in enumerate(
        ((selection.fs1_gate, selection.fs1_ctx_bias), (selection.fs2_gate, selection.fs2_ctx_bias))
    ):
        weights[f"gates.{index}"] = value(gate.mlp[:-1](context))[0]  # without the sigmoid
        weights |= mlp_weights(streams[index], f"streams.{index}")
    head = HIDDEN[-1] // settings["heads"]
    weights |= {
        "fusion.first": value(fusion.w_x.weight).T,
        "fusion.second": value(fusion.w_y.weight).T,
        "fusion.kernel": value(fusion.w_xy).reshape(-1, head, head),
        "fusion.bias": value(fusion.w_x.bias + fusion.w_y.bias)[0],
    }
    peers_gates = 2 * (rows.WIDTH + (rows.WIDTH + 1) * _INPUT)
    differences = {
        "gates are vectors; the peer makes them from a learned vector": 2 * _INPUT - peers_gates,
        "one bias of the fusion; the peer adds two": -1,
    }
    return golden(
        settings,
        f"FuxiCTR {version('fuxictr')}, FeatureSelection without context, MLP_Block, InteractionAggregation",
        model,
        model(_fuxictr_rows())["y_pred"],
        weights,
        differences,
        embeddings=_fuxictr_embeddings(model.embeddings),
    )


def _whole(network: type[nn.Module], **options: Any) -> nn.Module:
    """A network of FuxiCTR's zoo with drawn weights."""
    feature_map = describe(rows.SIZES, 0, rows.WIDTH)
    model = build(network, feature_map, {"embedding_dim": rows.WIDTH, **options}, task="regression")
    draw(model)
    return model


def _peer(name: str, said: str = "") -> str:
    return f"FuxiCTR's model zoo at {COMMITS[name]}, {name}{said}, parts of FuxiCTR {version('fuxictr')}"


def _masknet(checkout: Path, variant: str) -> Golden:
    width, count = 6, 2
    settings = {"name": "masknet", "variant": variant, "interaction_width": width, "cross_layers": count}
    options = {"model_type": f"{variant.title()}MaskNet", "reduction_ratio": 2}
    if variant == "serial":
        options["dnn_hidden_units"] = [width] * count
    else:
        settings["hidden"] = HIDDEN
        options |= {"dnn_hidden_units": HIDDEN, "parallel_num_blocks": count, "parallel_block_dim": width}
    model = _whole(load("MaskNet", checkout).MaskNet, **options)
    draw(model, std=1.0)  # masks multiply: small ones leave nothing to compare
    net = model.mask_net
    weights = {
        "field_scales": np.stack([value(each.weight) for each in model.emb_norm]),
        "field_shifts": np.stack([value(each.bias) for each in model.emb_norm]),
    }
    for index, block in enumerate(net.mask_blocks):
        name = f"blocks.{index}"
        weights |= dense(block.mask_layer[0], f"{name}.aggregate") | dense(block.mask_layer[2], f"{name}.project")
        weights |= dense(block.hidden_layer[0], f"{name}.hidden") | norm(block.hidden_layer[1], f"{name}.norm")
    weights |= dense(net.fc[0], "of_blocks") if variant == "serial" else mlp_weights(net.dnn, "mlp")
    return golden(
        settings,
        _peer("MaskNet"),
        model,
        model(_fuxictr_rows())["y_pred"],
        weights,
        {},
        embeddings=_fuxictr_embeddings(model.embedding_layer),
    )


def _gdcn(checkout: Path) -> Golden:
    model = _whole(load("GDCN", checkout).GDCNP, dnn_hidden_units=HIDDEN, num_cross_layers=2)
    crosses = model.cross_net
    weights: Weights = {}
    for index, (kernel, gate, bias) in enumerate(zip(crosses.w, crosses.wg, crosses.b, strict=True)):
        name = f"crosses.{index}"
        weights |= {f"{name}.kernel": value(kernel.weight).T, f"{name}.gate": value(gate.weight).T}
        weights[f"{name}.bias"] = value(bias)
    output, last = value(model.fc.weight).T, len(HIDDEN)
    weights |= mlp_weights(model.dnn, "mlp")
    weights |= {
        "of_crosses.kernel": output[:_INPUT],
        f"mlp.kernels.{last}": output[_INPUT:],
        f"mlp.biases.{last}": value(model.fc.bias),
    }
    return golden(
        {"name": "gdcn", "cross_layers": 2, "hidden": HIDDEN},
        _peer("GDCN", ", GDCNP"),
        model,
        model(_fuxictr_rows())["y_pred"],
        weights,
        {},
        embeddings=_fuxictr_embeddings(model.embedding_layer),
    )


def _eulernet(checkout: Path) -> Golden:
    orders, layers = 3, 2
    model = _whole(load("EulerNet", checkout).EulerNet, shape=[orders] * layers)
    with torch.no_grad():
        model.mu.exp_()  # our lengths are positive
    weights = {"log_lengths": np.log(value(model.mu)[0])}
    for index, layer in enumerate(model.Euler_interaction_layers):
        name = f"layers_of_euler.{index}"
        weights |= {
            f"{name}.exponents": value(layer.inter_orders),
            f"{name}.log_length": value(layer.bias_lam)[0].T,
            f"{name}.angle": value(layer.bias_theta)[0].T,
            **dense(layer.im, f"{name}.implicit"),
        }
    output = value(model.reg.weight).T
    weights |= {"of_real.kernel": output, "of_imaginary.kernel": output}
    # The peer's output layer is applied to both parts: its bias counts twice.
    weights |= {"linear.weights_of_numbers": np.zeros((0, 1)), "linear.bias": 2 * value(model.reg.bias)[0]}
    return golden(
        {"name": "eulernet", "interaction_width": orders, "cross_layers": layers},
        _peer("EulerNet"),
        model,
        model(_fuxictr_rows())["y_pred"],
        weights,
        {
            "output weights of the real and of the imaginary part; the peer's are the same": output.size,
            "no layer normalization, which the peer makes and does not use": -4 * rows.WIDTH * layers,
            "no linear weights of the ids; its bias stands for the peer's output bias": sum(rows.SIZES),
        },
        embeddings=_fuxictr_embeddings(model.embedding_layer),
        linear=[np.zeros((size, 1), np.float32) for size in rows.SIZES],
    )


class _Crosses(nn.Module):
    """DCNv3's two networks on one vector per field."""

    def __init__(self, dcn: ModuleType, layers: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(size, rows.WIDTH) for size in rows.SIZES)
        options = {"num_cross_layers": layers, "layer_norm": True, "batch_norm": False, "net_dropout": 0}
        self.exponential = dcn.ExponentialCrossNetwork(_INPUT, **options)
        self.linear = dcn.LinearCrossNetwork(_INPUT, **options)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([embedding(ids[:, index]) for index, embedding in enumerate(self.embeddings)], dim=1)
        return 0.5 * (self.exponential(joined) + self.linear(joined))


def _fcn(checkout: Path) -> Golden:
    layers = 2
    model = _Crosses(load("DCNv3", checkout), layers)
    draw(model)
    weights: Weights = {}
    for name, part in (("linear", model.linear), ("exponential", model.exponential)):
        for index, (kernel, bias, layer_norm) in enumerate(zip(part.w, part.b, part.layer_norm, strict=True)):
            cross = f"{name}_order.{index}"
            weights |= {f"{cross}.kernel": value(kernel.weight).T, f"{cross}.bias": value(bias)}
            weights |= norm(layer_norm, f"{cross}.norm")
    weights |= dense(model.linear.sfc, "of_linear") | dense(model.exponential.dfc, "of_exponential")
    return golden(
        {"name": "fcn", "cross_layers": layers},
        _peer("DCNv3", ", its two cross networks on one vector per field"),
        model,
        model(torch.from_numpy(rows.ids())),
        weights,
        {},
        embeddings=[value(embedding.weight) for embedding in model.embeddings],
    )
