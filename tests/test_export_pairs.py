"""Bundles whose smallest weighted pairs are left out: what they hold, what they score, and what the command tells."""

import json

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from ctrfast.bundle import Bundle
from ctrfast.cli import app
from ctrfast.errors import ConfigError
from ctrfast.export import write_bundle
from ctrfast.forms import TRAINED, Form
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.score import Scorer
from ctrfast.train import train
from tests import list_clicks, tiny_clicks


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return list_clicks.make_dataset(tmp_path_factory.mktemp("data"), list_clicks.learnable(900))


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    """Three pairs of three fields."""
    out = tmp_path_factory.mktemp("run") / "run"
    model = {"name": "deep_fwfm", "embedding_dim": 4, "hidden": [8]}
    train(dataset, tiny_clicks.settings(batch_size=135, epochs=1, model=model), out)
    return Run.open(out)


def test_a_bundle_scores_as_the_network_with_the_pair_at_0(run, tmp_path):
    (tmp_path / "bundle").mkdir()
    write_bundle(run, tmp_path / "bundle", Form(prune_pairs=0.3))
    network = open_network(run)
    weights = network.model.pairs.pair_weights.numpy()
    network.model.pairs.pair_weights.assign(np.where(np.abs(weights) == np.abs(weights).min(), 0, weights))
    ids, numbers, golden = Bundle.open(tmp_path / "bundle").golden()
    expected = 1 / (1 + np.exp(-network.logits(ids, numbers).astype(np.float64)))
    np.testing.assert_allclose(golden, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(Scorer.load(tmp_path / "bundle").score_arrays(ids, numbers), expected, rtol=0, atol=1e-5)


def test_a_share_too_small_for_one_pair_leaves_the_graph_as_it_is(run, tmp_path):
    graphs = []
    for name, form in (("whole", TRAINED), ("pruned", Form(prune_pairs=0.1))):
        (tmp_path / name).mkdir()
        write_bundle(run, tmp_path / name, form)
        graphs.append(onnx.load_model(tmp_path / name / "model.onnx", load_external_data=False).graph)
    whole, pruned = (sorted(node.op_type for node in graph.node) for graph in graphs)
    assert whole == pruned
    assert Bundle.open(tmp_path / "pruned").manifest["quantization"]["pairs_kept"] == 3


def test_the_command_tells_the_costs_and_the_pairs_that_stay(run, dataset, tmp_path):
    def export(*options):
        arguments = ("export", run.path, "--out", tmp_path / "out", "--data", dataset.path, *options)
        return CliRunner().invoke(app, [*map(str, arguments)])

    done = export("--prune", 0.5, "--prune-pairs", 0.6, "--quantize", "int8", "--compare", "--force")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [line.split("  ")[0] for line in lines[-7:]] == [  # below the titles, of one line or two
        "float32",
        "float16",
        "int8",
        "float32, pruned by 0.5, pairs pruned by 0.6",
        "int8, pruned by 0.5, pairs pruned by 0.6",
        "pairs: 1 of 3 stay",
        f"bundle: {tmp_path / 'out'}",
    ]
    said = Bundle.open(tmp_path / "out").manifest["quantization"]
    assert (said["prune"], said["prune_pairs"], said["pairs"], said["pairs_kept"]) == (0.5, 0.6, 3, 1)
    assert said["golden_difference"] > 0
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model"]["hidden"] == [4]

    refused = export("--prune-pairs", 1.0)
    assert isinstance(refused.exception, ConfigError)
    assert refused.exception.path == "prune_pairs"
