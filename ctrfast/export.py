"""Export a run as a bundle: weights, ONNX graph, encoder, golden rows, hashes.

A `Form` says in how many bytes the weights are kept, and which hidden units and pairs stay. The golden rows carry the
scores of the training graph with the weights of that form, so a bundle of any form is held to 1e-5; how far they are
from the trained weights' scores is in the manifest. `ctrfast.export_costs` measures what a form costs, and refuses.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import tensorflow as tf

from ctrfast._version import VERSION
from ctrfast.bundle import FORMAT, GOLDEN, GRAPH, KIND, WEIGHTS, read_golden
from ctrfast.folders import new_folder, write_file, write_manifest
from ctrfast.forms import TRAINED, Form
from ctrfast.graph import scoring_graph
from ctrfast.loop.golden import write_golden_rows
from ctrfast.network import Network
from ctrfast.prune import pruned
from ctrfast.prune_pairs import without_pairs
from ctrfast.quantize import quantize
from ctrfast.reference import REFERENCE
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.score import Scorer
from ctrfast.tensors import write_tensors
from ctrfast.traced import traced


def export_bundle(run_path: Path, out: Path, *, saved_model: bool = False) -> None:
    """Write a bundle and hold its scores against the training graph's on the golden rows.

    Args:
        run_path: a finished run.
        out: the bundle's folder; must not exist.
        saved_model: also write `saved_model/` for TensorFlow Serving; ctrfast never reads it.

    Raises:
        ArtifactError: the run is not whole, or the exported graph scores differently.
        ConfigError: `out` exists.
    """
    run = Run.open(run_path)
    with new_folder(out) as folder:
        write_bundle(run, folder, saved_model=saved_model)


def write_bundle(run: Run, folder: Path, form: Form = TRAINED, *, saved_model: bool = False) -> None:
    """Fill an empty folder with a bundle, and check it.

    Raises:
        ArtifactError: the run is not whole, or the exported graph scores differently.
        ConfigError: the network cannot be brought into this form.
    """
    network = open_network(run)
    if form.prune is not None:
        network = network.with_model(pruned(network.model, form.prune))
    if form.prune_pairs is not None:
        network = network.with_model(without_pairs(network.model, form.prune_pairs))
    stored = network.weights() if form.precision == "float32" else quantize(network, form.precision)
    write_tensors(folder / WEIGHTS, stored)
    onnx.save_model(scoring_graph(network, folder / WEIGHTS), folder / GRAPH)
    run.encoder().save(folder)
    for name in ("config.json", "plan.json", GOLDEN):
        shutil.copyfile(run.path / name, folder / name)
    if (run.path / REFERENCE).is_file():
        shutil.copyfile(run.path / REFERENCE, folder / REFERENCE)
    write_file(folder / "metrics.json", json.dumps(run.metrics, indent=1))
    run.calibration().save(folder)
    if saved_model:
        _save_model(network, folder / "saved_model")
    manifest = {
        "kind": KIND,
        "format": FORMAT,
        "model": run.config.model.name,
        "dataset": run.receipt.dataset_hash,
        "negative_rate": run.negative_rate,
        "version": VERSION,
    }
    if network.model.tasks > 1:
        manifest["labels"] = list(network.labels)
    if form != TRAINED:
        config = run.config.model_copy(update={"model": network.model.config})
        write_file(folder / "config.json", config.model_dump_json(indent=1))
        difference = _rescore_golden(folder / GOLDEN, network)
        told = {"precision": form.precision, "prune": form.prune, "golden_difference": difference}
        if form.prune_pairs is not None:
            kept, fields = network.model.pairs.pair_weights.shape[0], network.model.id_fields
            told |= {"prune_pairs": form.prune_pairs, "pairs": fields * (fields - 1) // 2, "pairs_kept": kept}
        manifest["quantization"] = told
    write_manifest(folder, manifest)
    Scorer.load(folder)


def _rescore_golden(path: Path, network: Network) -> float:
    """Give the golden rows the scores of this network; how far they are from the earlier ones at most."""
    ids, numbers, trained = read_golden(path)
    write_golden_rows(path, network, ids, numbers)
    return float(np.max(np.abs(read_golden(path)[2] - trained)))


def _save_model(network: Network, out: Path) -> None:
    model = network.model
    module = tf.Module()
    module.table, module.model = network.table, model
    signature = (
        tf.TensorSpec((None, network.slots), tf.int32, name="ids"),
        tf.TensorSpec((None, model.numeric_fields), tf.float32, name="numbers"),
    )

    output = "probability" if model.tasks == 1 else "probabilities"

    def serve(ids: tf.Tensor, numbers: tf.Tensor) -> dict[str, tf.Tensor]:
        return {output: tf.sigmoid(network.corrected_logits(network.look_up(ids), numbers))}

    module.serve = traced(serve, input_signature=signature)
    tf.saved_model.save(module, str(out), signatures=module.serve)
