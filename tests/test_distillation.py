"""A student of a mixture of experts: its first weights, its labels, the report, kills, and what is refused."""

import json
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ctrfast.cli import app
from ctrfast.data.batches import batches
from ctrfast.distillation import distil
from ctrfast.errors import ArtifactError, Cancelled, ConfigError
from ctrfast.expert_merge import merge_experts
from ctrfast.memory import estimate
from ctrfast.metrics import sigmoid
from ctrfast.network import Network
from ctrfast.reproduction import reproduce_run
from ctrfast.run import Run, origin_of
from ctrfast.teacher import Teacher
from ctrfast.train import train
from tests import tiny_clicks

TOWER = {"name": "moe", "experts": 3, "top_k": 3, "norm": "layer"}


def settings(**model):
    model = {"embedding_dim": 4, "hidden": [9, 9], **model}
    return tiny_clicks.settings(model=model, epochs=2, checkpoint_every_steps=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_clicks.make_dataset(tmp_path_factory.mktemp("data"), tiny_clicks.learnable(4200))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("teacher") / "run"
    train(data, settings(tower=TOWER), out)
    return Run.open(out)


def by_command(run, data, out, *options):
    arguments = ("distil", run.path, "--data", data.path, "--out", out, "--epochs", 1, *options)
    result = CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.fixture(scope="module")
def distilled(run, data, tmp_path_factory):
    """The folder, and what was printed."""
    out = tmp_path_factory.mktemp("distilled") / "out"
    return out, by_command(run, data, out)


def test_the_report_has_teacher_student_and_the_same_student_alone(distilled, run, data):
    out, printed = distilled
    report = json.loads((out / "report.json").read_text())
    assert (report["split"], report["rows"], report["share"]) == ("test", data.rows("test"), 0.5)
    teacher, student, alone = report["networks"]
    assert [each["who"] for each in report["networks"]] == ["teacher", "student", "alone"]
    assert (teacher["tower"], student["tower"], alone["tower"]) == ("moe", "mlp", "mlp")
    assert teacher["weights"] > student["weights"] == alone["weights"]
    assert teacher["model_bytes"] > student["model_bytes"]
    for each in report["networks"]:
        found = Run.open(run.path if each["who"] == "teacher" else out / each["who"])
        assert each["auc"] == pytest.approx(found.metrics["test_auc"], abs=1e-4)
        assert each["log_loss"] == pytest.approx(found.metrics["test_log_loss"], abs=1e-5)
        assert each["row_latency_us"] > 0
        assert f"{each['auc']:.5f}" in printed
    assert origin_of(out / "student") == {"warm_start": run.seal, "soft_labels": "0.5"}
    assert origin_of(out / "alone") == {}


def test_killed_at_each_stage_it_ends_with_the_same_report(distilled, run, data, tmp_path):
    whole, out, log = distilled[0], tmp_path / "out", tmp_path / "log"
    finished = {"student": [], "alone": ["student"], "report": ["alone", "student"]}
    command = [sys.executable, "-m", "tests.killed_distillation"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": Path(__file__).parents[1]}
    with log.open("w") as errors, subprocess.Popen(command, stderr=errors, **pipes) as children:
        for place, done in finished.items():
            spec = {"place": place, "run": str(run.path), "data": str(data.path), "out": str(out)}
            children.stdin.write(json.dumps(spec) + "\n")
            children.stdin.flush()
            assert children.stdout.readline() == f"{-signal.SIGKILL}\n", log.read_text()[-2000:]
            assert sorted(receipt.parent.name for receipt in out.glob("*/receipt.json")) == done
            if place not in done and place != "report":
                assert [each.name for each in (out / place / "checkpoints").glob("step-*")] == ["step-00000003"]
            assert not (out / "report.json").exists()
    by_command(run, data, out, "--resume")
    for who in ("student", "alone"):
        tiny_clicks.same_run(whole / who, out / who)
    assert what_a_kill_leaves(out) == what_a_kill_leaves(whole)


def what_a_kill_leaves(out):
    """The report without places, times, and bytes of graphs, whose nodes are numbered by what the process had made."""
    report, other = json.loads((out / "report.json").read_text()), {"run", "row_latency_us", "model_bytes"}
    kept = [{name: each[name] for name in each.keys() - other} for each in report["networks"]]
    return report | {"networks": kept}


def test_a_finished_distillation_is_taken_as_it_is_or_refused(distilled, run, data):
    out, _ = distilled
    before = (out / "student" / "receipt.json").read_bytes(), (out / "alone" / "receipt.json").read_bytes()
    distil(run.path, data.path, out, into="deepfm", epochs=1, resume=True)
    assert before == ((out / "student" / "receipt.json").read_bytes(), (out / "alone" / "receipt.json").read_bytes())
    with pytest.raises(ArtifactError, match="another teacher"):
        distil(run.path, data.path, out, into="deepfm", epochs=1, share=0.25, resume=True)
    with pytest.raises(ConfigError, match="exists already"):
        distil(run.path, data.path, out, into="deepfm", epochs=1)


def test_a_student_cannot_be_reproduced_from_its_receipt(distilled, run, data, tmp_path):
    with pytest.raises(ConfigError, match="Distil it again"):
        reproduce_run(distilled[0] / "student", data.path, tmp_path / "again", warm_start=run.path)


def student_of(teacher, data):
    """A new network with the first weights that the teacher gives."""
    network = Network(teacher.config.model, data.fitted, seed=99, embedding_init_std=0.1)
    teacher.restore(network.weights())
    return network


def test_a_student_of_alike_gates_and_simple_experts_begins_as_its_teacher(run, data):
    """With one gate for all rows, and experts of one direction each, nothing is lost in merging."""
    teacher = Teacher(run, data, "deepfm", 0.5)
    rng = np.random.default_rng(0)
    (mixture,) = teacher.network.model.mlp.mixtures
    mixture.gate.assign(np.zeros(mixture.gate.shape))
    simple = [np.outer(rng.normal(size=9), rng.normal(size=9)) for _ in range(3)]
    mixture.kernel.assign(np.concatenate(simple, axis=1))
    batch = next(batches(data, "test", 200))
    expected = teacher.network.logits(batch.ids, batch.numbers)
    np.testing.assert_allclose(student_of(teacher, data).logits(batch.ids, batch.numbers), expected, atol=1e-4)


def test_another_network_takes_table_linear_part_and_merged_tower(run, data):
    teacher = Teacher(run, data, "wide_deep", 0.5)
    student, old = student_of(teacher, data), teacher.network
    np.testing.assert_array_equal(student.table, old.table)
    np.testing.assert_array_equal(student.model.linear.weights_of_numbers, old.model.linear.weights_of_numbers)
    np.testing.assert_array_equal(student.model.mlp.kernels[0], old.model.mlp.kernels[0])
    np.testing.assert_array_equal(student.model.mlp.ends[1].norm.gamma, old.model.mlp.ends[1].norm.gamma)
    (mixture,) = old.model.mlp.mixtures
    (gates,) = teacher.mean_gates()
    kernel, bias = merge_experts(mixture.expert_kernels().numpy(), mixture.expert_biases().numpy(), gates)
    np.testing.assert_array_equal(student.model.mlp.kernels[1], kernel)
    np.testing.assert_array_equal(student.model.mlp.biases[1], bias)
    np.testing.assert_allclose(np.sum(gates), 1, rtol=1e-5)  # all experts are taken


def test_a_student_is_refused_where_its_teacher_has_no_room(run, data, tmp_path, monkeypatch):
    teacher = Teacher(run, data, "deepfm", 0.5)
    alone = estimate(data.fitted, teacher.config, train_rows=data.rows("train")).total_bytes
    both = estimate(data.fitted, teacher.config, train_rows=data.rows("train"), teacher=run.config.model)
    held = sum(4 * variable.shape.num_elements() for variable in teacher.network.weights().values())
    activations = both.by_part["teacher"] - held
    assert 0 < activations <= 4 * teacher.config.batch_size * 1000  # numbers that a row has on its way
    monkeypatch.setattr("ctrfast.training_loop.available_memory", lambda: alone + held)
    with pytest.raises(ConfigError, match="must fit in"):
        train(data, teacher.config, tmp_path / "run", teacher=teacher)
    assert not (tmp_path / "run").exists()


def test_the_teacher_is_let_go_before_the_student_trains_alone(run, data, tmp_path, monkeypatch):
    networks = []

    def watched(dataset, config, out, *, teacher, **options):
        if teacher is None:
            networks.append(networks[0]())
            raise Cancelled("Seen.")
        networks.append(weakref.ref(teacher.network))
        train(dataset, config, out, teacher=teacher, **options)

    monkeypatch.setattr("ctrfast.distillation.train", watched)
    with pytest.raises(Cancelled, match="Seen"):
        distil(run.path, data.path, tmp_path / "out", into="deepfm", epochs=1)
    assert networks[1] is None


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_labels_are_mixed_with_the_teachers_probabilities(run, data, share):
    teacher = Teacher(run, data, "deepfm", share)
    batch = next(batches(data, "train", 100))
    probabilities = sigmoid(teacher.network.logits(batch.ids, batch.numbers))
    expected = (1 - share) * batch.labels + share * probabilities
    np.testing.assert_allclose(teacher.labels(batch), expected, atol=1e-6)


@pytest.mark.parametrize(
    "into, share, path, says",
    [
        ("deepmf", 0.5, "into", "Did you mean deepfm"),
        ("fm", 0.5, "into", "Got fm, which has none. deepfm does"),
        ("nfm", 0.5, "into", "input of 9 numbers. Got nfm, which takes 5"),
        ("deepfm", 1.5, "share", "at most 1. Got share=1.5"),
    ],
)
def test_a_student_that_does_not_fit_is_refused(run, data, into, share, path, says):
    with pytest.raises(ConfigError, match=says) as error:
        Teacher(run, data, into, share)
    assert error.value.path == path


def test_a_student_is_the_teachers_and_begins_with_nothing_else(run, data, tmp_path):
    teacher = Teacher(run, data, "deepfm", 0.5)
    with pytest.raises(ConfigError, match="must be the teacher's student"):
        train(data, settings(), tmp_path / "run", teacher=teacher)
    with pytest.raises(ConfigError, match="takes no `warm_start`"):
        train(data, teacher.config, tmp_path / "run", teacher=teacher, warm_start=run.path)
    assert not (tmp_path / "run").exists()


def test_a_teacher_without_experts_and_a_foreign_dataset_are_refused(distilled, run, tmp_path, data):
    with pytest.raises(ConfigError, match=r"one tower moe\. Got deepfm with mlp"):
        Teacher(Run.open(distilled[0] / "alone"), data, "deepfm", 0.5)
    other = tiny_clicks.make_dataset(tmp_path, tiny_clicks.learnable(400, seed=2))
    with pytest.raises(ArtifactError, match="encoded as that of the teacher"):
        Teacher(run, other, "deepfm", 0.5)
