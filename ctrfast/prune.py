"""Leave out the hidden units of the MLP that weigh least: what is left is a smaller network, hence a faster one.

    weight of unit j of a layer = ||W[:, j]|| * ||W'[j, :]||        W: kernel into the layer, W': kernel out of it

Zeros strewn over a kernel would cost as much to multiply as the numbers that they replace; units leave with their
columns, biases and rows. Crosses and the linear part stay whole; `ctrfast.prune_pairs` leaves out pairs of fields.

Source: Han et al. 2015, arXiv:1506.02626 (by magnitude), and Li et al. 2017, arXiv:1608.08710 (whole filters).
Differs from the sources: the norm out of a unit counts too, since a unit that nothing reads is worth nothing; no
training follows.

    pruned(network.model, 0.5).config.hidden      # (200, 200, 200) of (400, 400, 400)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ctrfast.errors import ConfigError
from ctrfast.models import CtrModel, build_model

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]


def pruned(model: CtrModel, share: float) -> CtrModel:
    """A new network without the given share, in (0, 1), of each hidden layer's units, rounded; one at least stays.

    Raises:
        ConfigError: the network is not one with an MLP, or that has no hidden layer.
    """
    if not (model.config.hidden and hasattr(model, "mlp")):
        problem = f"`prune` needs a network with one MLP that has hidden layers. Got {model.config.name}"
        raise ConfigError(f"{problem} with {len(model.config.hidden)}. Export without it.", path="prune")
    if model.config.tasks is not None:
        problem = f"`prune` needs a network of one label. Got one with tasks={model.config.tasks.kind}"
        raise ConfigError(f"{problem}. Export without it.", path="prune")
    tower = model.config.tower
    if tower.name != "mlp" or tower.norm != "none":
        problem = f"`prune` needs the tower mlp without norms. Got {tower.name} with norm={tower.norm}"
        raise ConfigError(f"{problem}. Export without it.", path="prune")
    kernels, biases = (
        [variable.numpy() for variable in variables] for variables in (model.mlp.kernels, model.mlp.biases)
    )
    kept = kept_units(kernels, share)
    outputs = [*kept, np.arange(kernels[-1].shape[1])]  # of each kernel
    inputs = [np.arange(kernels[0].shape[0]), *kept]
    values = {
        id(variable): value
        for kernel, bias, old_kernel, old_bias, inward, outward in zip(
            model.mlp.kernels, model.mlp.biases, kernels, biases, inputs, outputs, strict=True
        )
        for variable, value in ((kernel, old_kernel[np.ix_(inward, outward)]), (bias, old_bias[outward]))
    }
    config = model.config.model_copy(update={"hidden": tuple(len(units) for units in kept)})
    smaller = build_model(config, id_fields=model.id_fields, numeric_fields=model.numeric_fields, seed=0)
    for old, new in zip(model.dense_variables, smaller.dense_variables, strict=True):
        new.assign(values.get(id(old), old))
    return smaller


def kept_units(kernels: Sequence[Floats], share: float) -> list[Places]:
    """Places, rising, of the units that stay in each hidden layer. kernels: into each layer, and the last one out."""
    kept = []
    for inward, outward in itertools.pairwise(kernels):
        weight = np.linalg.norm(inward, axis=0) * np.linalg.norm(outward, axis=1)  # (H,)
        leave = min(round(share * len(weight)), len(weight) - 1)
        kept.append(np.sort(np.argsort(weight, kind="stable")[leave:]))
    return kept
