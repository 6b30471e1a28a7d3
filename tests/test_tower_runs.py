"""Towers in whole runs: what they learn, and are opened as. All else that runs must hold: models/test_contract.py."""

import pytest

from ctrfast.errors import ArtifactError
from ctrfast.optim.scaling import make_plan
from ctrfast.run import Run, check_same_run, start_run
from ctrfast.run_network import open_network
from ctrfast.train import train
from tests import tiny_clicks
from tests.two_replicas import same_on_two_replicas

MOE = {"name": "moe", "norm": "batch", "dropout": 0.2, "across_depth": "shared", "experts": 3}
SHARED = {"name": "shared", "norm": "layer", "dropout": 0.1, "activation": "gelu"}
MODELS = {
    "moe": {"name": "deepfm", "tower": MOE},
    "shared": {"name": "dcn_v2", "cross_layers": 2, "tower": SHARED},
}


def settings(tower, **more):
    model = {"embedding_dim": 4, "hidden": [16, 16, 16], **MODELS[tower]}
    return tiny_clicks.settings(model=model, epochs=2, micro_batch_size=200, checkpoint_every_steps=4, **more)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_clicks.make_dataset(tmp_path_factory.mktemp("data"), tiny_clicks.learnable(4200))


@pytest.fixture(scope="module", params=MODELS)
def finished(request, data, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param) / "run"
    train(data, settings(request.param), out)
    return request.param, out


def test_a_run_learns_and_is_opened_as_it_was(finished):
    run = Run.open(finished[1])
    assert run.metrics["test_auc"] > 0.6
    network = open_network(run)
    averages = [name for name in network.weights() if name.startswith("kept.")]
    assert len(averages) == {"moe": 6, "shared": 0}[finished[0]]


def test_a_run_of_one_tower_does_not_go_on_as_one_of_another(data, tmp_path):
    started, other = settings("moe"), tiny_clicks.settings(epochs=2)
    start_run(tmp_path / "run", started, make_plan(started, "tiny"), data)
    with pytest.raises(ArtifactError, match=r"model\.tower\.experts=3 \(now None\)"):
        check_same_run(tmp_path / "run", other, data)


def test_two_replicas_take_the_steps_of_one_that_goes_in_halves(data, tmp_path):
    """The balance is that of the rows of a pass: a micro-batch of one, the share of the other."""
    tower = {"name": "moe", "norm": "layer", "balance": 0.3}
    changes = {
        **tiny_clicks.SETTINGS,
        "batch_size": 500,
        "micro_batch_size": 250,
        "epochs": 1,
        "model": {"embedding_dim": 4, "hidden": [16, 16], "tower": tower},
    }
    runs = same_on_two_replicas(data.path, tmp_path, changes, atol=2e-5)[:2]
    one, two = ([each for each in tiny_clicks.records(run.path) if each["kind"] == "train"][-1] for run in runs)
    assert two["expert_share"] == pytest.approx(one["expert_share"], abs=2e-3)  # a row may be at the border of two
    assert two["balance"] == pytest.approx(one["balance"], abs=2e-3)
