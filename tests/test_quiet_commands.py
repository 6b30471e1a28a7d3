"""Commands as processes of their own, in a user's environment: nothing is on stderr that the command did not mean.

TensorFlow's lines, warnings and log records do not go through the `sys.stderr` of the process that the other tests call
commands in. A progress bar is drawn on a terminal alone, so stderr is empty here.
"""

import shutil

from tests.command_line import ctrfast


def quiet(*arguments: object) -> str:
    """stdout of a command that succeeds and says nothing else."""
    done = ctrfast(*arguments, plain=True)
    assert done.stderr == ""
    return done.stdout


def test_commands_that_start_tensorflow_are_quiet(run_path, dataset, raw_clicks, tmp_path):
    assert "log_loss" in quiet("evaluate", run_path, "--data", dataset.path)
    form = ("--quantize", "int8", "--prune", 0.5, "--data", dataset.path, "--force", "--saved-model")
    assert "bundle: " in quiet("export", run_path, "--out", tmp_path / "bundle", *form)
    assert " scores, " in quiet("score", run_path, raw_clicks, "--out", tmp_path / "scores.parquet")


def test_commands_without_tensorflow_are_quiet(run_path, bundle_path, dataset, raw_clicks, tmp_path):
    assert "C26" in quiet("inspect", dataset.path)
    assert "deepfm" in quiet("models", "--data", dataset.path)
    assert " scores, " in quiet("score", bundle_path, raw_clicks, "--out", tmp_path / "scores.parquet")
    again = shutil.copytree(run_path, tmp_path / "again")
    assert "test figure" in quiet("compare", run_path, again)
