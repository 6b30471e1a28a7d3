"""How experts are used: counted by every form of step as an independent pass counts, and seen in a run's records."""

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.expert_tally import ExpertTally, expert_figures
from ctrfast.model_config import ModelConfig
from ctrfast.models import build_model
from ctrfast.models.tower import Pass
from ctrfast.network import Network
from ctrfast.replicas import Replicas, choose_devices
from ctrfast.run import Run
from ctrfast.step import Execution, make_step
from ctrfast.train import train
from ctrfast.workers import Workers
from tests import tiny_clicks
from tests.models import towers_oracle
from tests.models.step_settings import STEP

SIZES, D, N, B, MICRO = [5, 40], 3, 2, 36, 20  # the second micro-batch is smaller
FORMS = {
    "in place": Execution(MICRO, jit=False, in_place=True),
    "compiled": Execution(None, jit=True, in_place=False),
}


def model_of(tower, name="deepfm", **more):
    config = ModelConfig(name=name, embedding_dim=D, hidden=(6, 6, 6), tower=tower, **more)
    return build_model(config, id_fields=len(SIZES), numeric_fields=N, seed=1)


def force(mixture, expert):
    """Gates that give all rows to one expert; what they see must be ones."""
    gates = np.zeros(mixture.gate.shape)
    gates[:, expert] = 50
    mixture.gate.assign(gates)


@pytest.mark.parametrize("form", FORMS)
def test_a_step_counts_as_an_independent_pass_does(form):
    rng = np.random.default_rng(0)
    model = model_of({"name": "moe", "experts": 3, "top_k": 2})
    for variable in model.dense_variables:
        variable.assign(rng.normal(0, 0.7, variable.shape))
    table = rng.normal(0, 0.5, (sum(SIZES), D + 1)).astype(np.float32)
    ids = (rng.random((B, 2)) * SIZES).astype(np.int32) + np.array([0, SIZES[0]], np.int32)
    numbers, labels = rng.normal(size=(B, N)).astype(np.float32), (rng.random(B) < 0.3).astype(np.float32)
    micro = FORMS[form].micro_batch_size or B
    balances, taken = [], []
    for part in (slice(0, micro), slice(micro, B)):
        if len(ids[part]):
            found, gates = [], []
            towers_oracle.logits(model, table[ids[part]], numbers[part], balances=found, taken=gates)
            balances.append((len(ids[part]), found))
            taken.append(gates)
    step = make_step(
        model, tf.Variable(table), [0, SIZES[0]], STEP, batch_size=B, execution=FORMS[form], precision="float32"
    )
    step(ids, numbers, labels)
    figures = expert_figures(step.experts.take())
    assert figures["balance"] == pytest.approx(sum(rows * np.mean(found) for rows, found in balances) / B, rel=1e-5)
    shares = np.sum(taken, axis=0) / B  # (M, E)
    assert list(figures["expert_share"]) == [f"mixture_{m}.expert_{e}" for m in range(2) for e in range(3)]
    np.testing.assert_allclose(list(figures["expert_share"].values()), shares.ravel(), rtol=1e-5)
    assert not step.experts.sums.numpy().any()  # they begin anew


def test_a_collapsed_mixture_is_seen():
    model = model_of({"name": "moe", "experts": 4, "top_k": 1, "balance": 0.0})
    model.mlp.kernels[0].assign(tf.zeros_like(model.mlp.kernels[0]))
    model.mlp.biases[0].assign(tf.ones_like(model.mlp.biases[0]))  # so that the first mixture sees ones
    force(model.mlp.mixtures[0], 2)
    tally = ExpertTally.of(model)
    rows, numbers = tf.random.stateless_normal((9, 2, D + 1), (1, 2)), tf.random.stateless_normal((9, N), (3, 4))
    with model.watched(is_training=True) as seen:
        model.logits(rows, numbers)
    tally.add(seen, 9)
    sums = tally.take()
    figures = expert_figures(sums)
    first = [share for name, share in figures["expert_share"].items() if name.startswith("mixture_0.")]
    assert first == [0.0, 0.0, 1.0, 0.0]
    assert expert_figures(sums[:1])["balance"] == pytest.approx(4.0)  # of 4 experts, all rows take one
    assert figures["balance"] > 2  # the mean of it and of the second mixture's, which is 1 at least


def test_passes_weigh_by_their_rows():
    tally = ExpertTally(1, 2)
    for rows, share, balance in ((30, 1.0, 2.0), (10, 0.0, 1.0)):
        tally.add(Pass(True, shares=[tf.constant([share, 1 - share])], balances=[tf.constant(balance)]), rows)
    shares = {"mixture_0.expert_0": 0.75, "mixture_0.expert_1": 0.25}
    assert expert_figures(tally.take()) == {"balance": 1.75, "expert_share": shares}


@pytest.mark.parametrize(
    "network, mixtures", [({}, 2), ({"name": "final_mlp"}, 4), ({"tasks": {"kind": "mmoe", "experts": 3}}, 6)]
)
def test_all_mixtures_that_a_row_goes_through_are_counted(network, mixtures):
    config = ModelConfig(**{"hidden": (6, 6, 6), "embedding_dim": D, "tower": "moe", **network})
    model = build_model(config, id_fields=2, numeric_fields=N, seed=1, tasks=2 if config.tasks else 1)
    assert ExpertTally.of(model).sums.shape == (mixtures, 4 + 2)


def test_a_network_without_mixtures_has_no_tally():
    assert ExpertTally.of(model_of("shared")) is None
    assert ExpertTally.of(build_model(ModelConfig(name="fm"), id_fields=2, numeric_fields=0, seed=1)) is None


class TwoWorkers(Workers):
    """Beside another one that has counted this."""

    OTHER = np.array([[10, 30, 60, 30]], np.float32)

    def join(self, rows):
        return np.concatenate((rows, self.OTHER.ravel()))


def test_the_rows_of_all_workers_count(tiny_dataset):
    fitted = tiny_dataset.fitted
    config = ModelConfig(embedding_dim=2, hidden=(4, 4), tower={"name": "moe", "experts": 2, "top_k": 1})
    replicas = Replicas(
        lambda: Network(config, fitted, seed=1, embedding_init_std=0.01),
        [row for _, row in fitted.row_ranges],
        STEP,
        choose_devices(None),
        batch_size=8,
        workers=TwoWorkers(),
    )
    replicas.state()["window.experts"].assign([[60.0, 0.0, 120.0, 60.0]])
    shares = {"mixture_0.expert_0": 70 / 90, "mixture_0.expert_1": 30 / 90}
    found = replicas.expert_figures()
    assert found["balance"] == pytest.approx(2)
    assert found["expert_share"] == pytest.approx(shares)
    replicas.close()


def test_records_and_final_figures_tell_how_experts_were_used(tiny_dataset, tmp_path):
    told = []
    tower = {"name": "moe", "experts": 3, "top_k": 2}
    config = tiny_clicks.settings(model={"embedding_dim": 4, "hidden": [8, 8], "tower": tower}, epochs=1)
    train(tiny_dataset, config, tmp_path / "run", on_progress=told.append)
    records = [record for record in tiny_clicks.records(tmp_path / "run") if record["kind"] == "train"]
    assert len(records) == 3
    for record in records:
        assert list(record["expert_share"]) == [f"mixture_0.expert_{expert}" for expert in range(3)]
        assert sum(record["expert_share"].values()) == pytest.approx(2)  # a row takes two
        assert 0.9 < record["balance"] <= 1.5
    assert Run.open(tmp_path / "run").metrics["balance"] == records[-1]["balance"]
    by_name = {f"expert_share.{name}": share for name, share in records[-1]["expert_share"].items()}
    assert by_name.items() <= told[-1].by_field.items()
