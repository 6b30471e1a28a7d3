"""Which checkpoints stay, which are refused, and what a failed write leaves."""

import resource

import numpy as np
import pytest
import tensorflow as tf

from ctrfast.checkpoint import Checkpoint, path_of, save_checkpoint
from ctrfast.errors import ArtifactError, StorageError

STATE = {"table": np.arange(6, dtype=np.float32).reshape(3, 2), "step": np.int64(3)}


def save(folder, step, **keywords):
    return save_checkpoint(folder, STATE, run="seal", step=step, train_s=2.5, **keywords)


def kept(folder):
    return [int(path.name.removeprefix("step-")) for path in sorted(folder.iterdir())]


def test_the_last_two_and_the_best_stay(tmp_path):
    for step in (3, 6, 9, 12):
        save(tmp_path, step, best=6 if step >= 6 else None)
    assert kept(tmp_path) == [6, 9, 12]
    save(tmp_path, 15, best=15)  # a new best: the old one stays as long as the checkpoint that knows it
    assert kept(tmp_path) == [6, 12, 15]
    save(tmp_path, 18)
    assert kept(tmp_path) == [15, 18]


def test_the_best_of_the_one_before_stays_too(tmp_path):
    """So that a run whose newest checkpoint, its new best, was damaged finds the best that it then knows of."""
    for step, best in ((3, 3), (6, 3), (9, 9)):
        save(tmp_path, step, best=best)
    assert kept(tmp_path) == [3, 6, 9]
    save(tmp_path, 12, best=9)
    assert kept(tmp_path) == [9, 12]


def test_what_was_saved_comes_back(tmp_path):
    save(tmp_path, 3)
    checkpoint = Checkpoint.latest(tmp_path, "seal")
    assert checkpoint == Checkpoint(path_of(tmp_path, 3), 3, 2.5)
    table = tf.Variable(np.zeros((3, 2), np.float32))
    checkpoint.restore({"table": table})
    np.testing.assert_array_equal(table, STATE["table"])
    assert checkpoint.tensors(["step"])["step"] == 3


def test_nothing_saved_is_no_checkpoint(tmp_path):
    assert Checkpoint.latest(tmp_path, "seal") is None


@pytest.mark.parametrize("damage", ["state.safetensors", "manifest.json"])
def test_a_damaged_one_is_removed_and_the_one_before_taken(tmp_path, damage):
    save(tmp_path, 3)
    save(tmp_path, 6)
    file = path_of(tmp_path, 6) / damage
    file.write_bytes(file.read_bytes()[:-3])
    (tmp_path / ".partial-step-00000009-1234").mkdir()  # of a process that was killed while it wrote
    assert Checkpoint.latest(tmp_path, "seal").step == 3
    assert kept(tmp_path) == [3]


def test_another_runs_checkpoint_is_refused_and_stays(tmp_path):
    path = save(tmp_path, 3)
    for refused in (lambda: Checkpoint.latest(tmp_path, "other"), lambda: Checkpoint.open(path, "other")):
        with pytest.raises(ArtifactError, match="step-00000003 belongs to another run"):
            refused()
    assert kept(tmp_path) == [3]


def test_tensors_that_do_not_fit_are_refused(tmp_path):
    checkpoint = Checkpoint.open(save(tmp_path, 3), "seal")
    with pytest.raises(ArtifactError, match=r"table of step-00000003 must have shape \(2, 2\)\. Got \(3, 2\)"):
        checkpoint.restore({"table": tf.Variable(np.zeros((2, 2), np.float32))})
    with pytest.raises(ArtifactError, match="cannot be read"):
        checkpoint.tensors(["absent"])


def test_a_full_disk_leaves_what_was_there(tmp_path):
    save(tmp_path, 3)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(StorageError, match=r"Make room on the disk\."):
            save(tmp_path, 6)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert kept(tmp_path) == [3]
    Checkpoint.open(path_of(tmp_path, 3), "seal")
