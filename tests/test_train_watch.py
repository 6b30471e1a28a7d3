"""Evaluations each N steps decide when a run ends, its rates and its weights; a run that learns nothing is stopped."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ctrfast.checkpoint import Checkpoint
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError, TrainingError
from ctrfast.loop.split_evaluation import evaluate_split
from ctrfast.run import Run
from ctrfast.run_network import open_network
from ctrfast.train import train
from tests import tiny_clicks


def expected_end(aucs, patience, plateau):
    """Where the rules stop a run with these validation AUCs, and how often they lower its rates: written anew."""
    lowered = 0
    for index in range(len(aucs)):
        best = int(np.argmax(aucs[: index + 1]))
        waited = index - best
        lowered += waited > 0 and waited % plateau == 0
        if waited >= patience:
            return index, best, lowered
    return None


def test_the_watched_run_did_as_its_figures_say(watched_run):
    run, seen = Run.open(watched_run), tiny_clicks.evaluations(watched_run)
    steps = [step for step, _ in seen]
    assert steps == sorted({*range(4, steps[-1] + 1, 4), *range(10, steps[-1] + 1, 10)})  # none twice
    end, best, lowered = expected_end([auc for _, auc in seen], patience=5, plateau=2)
    assert end == len(seen) - 1
    assert lowered > 0
    assert run.receipt.ended_by == "early_stop"
    assert run.receipt.steps == steps[-1] < 60
    assert run.receipt.checkpoint == f"step-{steps[best]:08d}"
    newest = Checkpoint.latest(watched_run / "checkpoints", run.seal)
    assert newest.step == steps[-1]
    assert newest.tensors(["decay"])["decay"] == pytest.approx(0.1**lowered)
    assert len(list(watched_run.glob("checkpoints/*"))) == 3  # the best, and the last two


def test_final_figures_are_those_of_the_best_weights(tiny_dataset, watched_run):
    run = Run.open(watched_run)
    best = max(auc for _, auc in tiny_clicks.evaluations(watched_run))
    assert run.metrics["valid_auc"] == best
    network = open_network(run)
    for split in ("valid", "test"):
        predictions = evaluate_split(network, tiny_dataset, split)
        assert predictions.metrics()["auc"] == run.metrics[f"{split}_auc"]
    assert tiny_clicks.evaluations(watched_run, "test") == [
        (int(run.receipt.checkpoint.removeprefix("step-")), run.metrics["test_auc"])
    ]


def test_a_run_without_a_rise_to_wait_for_ends_with_its_last_weights(tiny_dataset, tmp_path):
    train(tiny_dataset, tiny_clicks.settings(epochs=2, checkpoint_every_steps=4), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert (run.receipt.ended_by, run.receipt.checkpoint) == ("epochs", "step-00000020")
    assert [step for step, _ in tiny_clicks.evaluations(tmp_path / "run")] == [10, 20]
    assert sorted(path.name for path in tmp_path.glob("run/checkpoints/*")) == ["step-00000016", "step-00000020"]


NEEDS_VALID = [
    ("evaluate_every_steps", {"evaluate_every_steps": 5}),
    ("early_stop_patience", {"early_stop_patience": 2}),
    ("final_weights", {"final_weights": "best"}),
    ("optimizer.lr_decay", {"optimizer": {"lr_decay": "plateau"}}),
]


@pytest.fixture(scope="module")
def without_valid(tmp_path_factory):
    return tiny_clicks.make_dataset(tmp_path_factory.mktemp("none"), tiny_clicks.learnable(500), valid_fraction=0.0)


@pytest.fixture(scope="module")
def one_class(tmp_path_factory):
    labels, *columns = tiny_clicks.learnable(500)
    labels[300:400] = 0  # the validation rows
    return tiny_clicks.make_dataset(tmp_path_factory.mktemp("one"), (labels, *columns))


@pytest.mark.parametrize("path, values", NEEDS_VALID, ids=[path for path, _ in NEEDS_VALID])
def test_settings_that_need_validation_rows_are_refused(without_valid, tmp_path, path, values):
    with pytest.raises(ConfigError, match=f"`{path.split('.')[-1]}` needs a validation split") as caught:
        train(without_valid, tiny_clicks.settings(**values), tmp_path / "run")
    assert caught.value.path == path
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("path, values", NEEDS_VALID[1:], ids=[path for path, _ in NEEDS_VALID[1:]])
def test_settings_that_need_an_auc_are_refused(one_class, tmp_path, path, values):
    with pytest.raises(ConfigError, match="Got a label rate of 0 in 100 rows") as caught:
        train(one_class, tiny_clicks.settings(**values), tmp_path / "run")
    assert caught.value.path == path


def test_labels_that_nothing_tells_stop_the_run(tmp_path):
    """Each id has as many clicks as others in the validation split, so every model of it has an AUC of 0.5."""
    ids, labels = np.arange(5000) % 2, np.arange(5000) // 2 % 2
    labels[:600] = np.random.default_rng(2).integers(0, 2, 600)
    assert roc_auc_score(labels[600:4600], ids[600:4600]) == 0.5
    columns = (labels, np.zeros(5000), ids, ids)
    dataset = tiny_clicks.make_dataset(tmp_path, columns, valid_fraction=0.8, test_fraction=0.08)
    with pytest.raises(TrainingError, match=r"AUC stays at 0\.5 after a whole epoch"):
        train(dataset, tiny_clicks.settings(batch_size=60, evaluate_every_steps=4), tmp_path / "run")
    assert [step for step, _ in tiny_clicks.evaluations(tmp_path / "run")] == [4, 8, 10, 12, 16]
    assert not (tmp_path / "run" / "receipt.json").exists()


def test_a_network_whose_units_died_stops_the_run(tmp_path):
    """Without numbers and with embeddings that stay as they are, dead units leave the bias alone."""
    schema = tiny_clicks.SCHEMA.model_copy(update={"name": "ids", "numeric_fields": ()})
    raw = tiny_clicks.write_clicks(tmp_path / "clicks.tsv", *tiny_clicks.learnable(1500))
    prepare([raw], schema, tmp_path / "dataset", split="sequential")
    rates = {"lr_dense": 10.0, "lr_embed": 1e-12}
    config = tiny_clicks.settings(batch_size=100, optimizer=rates, scaling={"rule": "none"})
    with pytest.raises(TrainingError, match="All 150 valid rows get the same probability"):
        train(Dataset.open(tmp_path / "dataset"), config, tmp_path / "run")
    assert {record["kind"] for record in tiny_clicks.records(tmp_path / "run")} == {"train"}


@pytest.mark.parametrize("split, left_out", [("valid", {}), ("test", {"valid_fraction": 0.0})])
def test_a_training_that_diverges_is_no_success(tmp_path, split, left_out):
    """Rates of 1000: finite figures, an AUC away from 0.5, and a log loss of many millions."""
    dataset = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(1500), **left_out)
    rates = {"lr_dense": 1000.0, "lr_embed": 1000.0}
    config = tiny_clicks.settings(epochs=1, batch_size=100, optimizer=rates, scaling={"rule": "none"})
    with pytest.raises(TrainingError, match=rf"The {split} log loss is .* always answering the label rate") as caught:
        train(dataset, config, tmp_path / "run")
    assert caught.value.code == "nan_loss"
    assert not (tmp_path / "run" / "receipt.json").exists()
