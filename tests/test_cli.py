"""The command line as a user calls it: what it prints, and one clear line with an exit code that is not 0 on error."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pyarrow.parquet as pq
import pytest
import typer

from ctrfast.command_errors import run_app
from tests.command_line import CTRFAST, called, ctrfast, one_line, refused, run_here


def test_from_clicks_to_scores(tmp_path):
    raw, data, run, bundle, out = (tmp_path / name for name in ("c.tsv.gz", "data", "run", "bundle", "s.parquet"))
    assert "teacher AUC" in ctrfast("synth", raw, "--preset", "criteo", "--rows", 3000, "--seed", 1).stdout
    done = ctrfast("prepare", raw, "--preset", "criteo", "--min-count", 2, "--out", data)
    assert "rejected 0" in done.stdout
    assert "C26" in called("inspect", data).stdout
    report = json.loads(called("inspect", data, "--json", "--html", tmp_path / "report.html").stdout)
    assert report["schema_name"] == "criteo"
    assert "criteo" in (tmp_path / "report.html").read_text()
    done = ctrfast(
        *("train", "--data", data, "--model", "deepfm", "--batch-size", 512, "--epochs", 1, "--seed", 1, "--out", run),
        *("--set", "model.hidden=[8]", "--scaling", "none", "--set", "optimizer.lr_dense=1e-2"),
    )
    assert "test_auc 0." in done.stdout
    assert all(line.startswith("warning: ") for line in done.stderr.splitlines())  # TensorFlow's chatter stays away
    assert "log_loss" in called("evaluate", run, "--data", data).stdout
    called("export", run, "--out", bundle)
    assert re.search(r": 3,000 scores, [\d,]+ rows/s\n", ctrfast("score", bundle, raw, "--out", out).stdout)
    assert pq.read_metadata(out).num_rows == 3000
    assert "exists already" in one_line(ctrfast("score", bundle, raw, "--out", out, code=1))
    both = tmp_path / "both.parquet"
    called("score", bundle, raw, "--out", both, "--calibrated", "--resume")
    assert pq.read_schema(both).names == ["score", "calibrated"]
    assert "exists already" in refused("export", run, "--out", bundle)
    assert "finished already" in refused(
        *("train", "--data", data, "--batch-size", 512, "--out", run, "--resume"),
    )


def test_plan_shows_each_value_with_its_reason():
    text = called("plan", "--rule", "cowclip", "--preset", "criteo", "--batch-size", 131072).stdout
    assert "0.00905097" in text
    assert "0.00128" in text
    assert "sqrt(128)" in text


@pytest.mark.parametrize(
    "arguments, told",
    [
        ("synth x.tsv --rows 0", r"'--rows': .*1\. See `ctrfast synth --help`\."),
        ("prepare x.tsv --out d --min-count 0", r"'--min-count'.*See `ctrfast prepare --help`\."),
        ("prepare x.tsv", r"Missing option '--out'\. See `ctrfast prepare --help`\."),
        ("synth", r"Missing argument 'out'\. See `ctrfast synth --help`\."),
        ("train --dta x", r"No such option: --dta.*--data.*See `ctrfast train --help`\."),
        ("trian", r"No such command 'trian'\. Did you mean 'train'\? See `ctrfast --help`\."),
        ("synth x.tsv --rows", r"'--rows' requires an argument\. See `ctrfast.* --help`\."),
        ("jobs lst", r"No such command 'lst'.*See `ctrfast jobs --help`\."),
    ],
)
def test_usage_errors_are_one_line(arguments, told):
    assert re.search(told, refused(*arguments.split(), code=2))


def test_help_is_printed():
    for words in (["--help"], ["plan", "--help"], ["jobs", "--help"]):
        done = called(*words)
        assert "Usage: ctrfast" in done.stdout
        assert done.stderr == ""
    assert "the dataset's, criteo without one" in " ".join(called("plan", "--help").stdout.replace("│", " ").split())
    for words in ([], ["jobs"]):
        done = called(*words, code=2)
        assert "Usage: ctrfast" in done.stdout + done.stderr
        assert "error" not in done.stderr


@pytest.mark.parametrize("raised, code", [(KeyboardInterrupt, 130), (EOFError, 1), (typer.Exit(3), 3)])
def test_a_command_that_is_stopped(raised, code):
    app = typer.Typer()

    @app.command()
    def work() -> None:
        raise raised

    done = run_here(lambda: run_app(app, "work"), "work")
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_refusals_of_names_and_settings(dataset, tmp_path):
    train = ("train", "--data", dataset.path, "--out", tmp_path / "run")
    assert "Did you mean deepfm" in refused(*train, "--model", "deepfn")
    assert "Did you mean cowclip" in refused(*train, "--scaling", "cowclipp")
    assert "optimizer.lr_embed" in refused(*train, "--set", "optimizer.lr_embd=1")
    assert "key=value" in refused(*train, "--set", "epochs")
    assert "epochs" in refused(*train, "--set", "epochs=2020-01-01")
    assert "Did you mean criteo" in refused("plan", "--preset", "critteo")
    assert "training split's 4,200 rows" in refused(*train, "--batch-size", 5000)
    assert "Unknown split" in refused("evaluate", tmp_path, "--data", dataset.path, "--split", "tset")
    assert not (tmp_path / "run").exists()


def test_refusals_of_files(dataset, bundle_path, raw_clicks, tmp_path):
    prepare = ("prepare", "--preset", "criteo", "--out", tmp_path / "d")
    assert "There is no file" in refused(*prepare, tmp_path / "none.tsv")
    (tmp_path / "wrong.tsv").write_text("1\t2\t3\n0\t2\t3\n")
    line = refused(*prepare, tmp_path / "wrong.tsv")
    assert "40 columns" in line
    assert "Got 3" in line
    assert "schema.yaml" in refused(
        "prepare", raw_clicks, "--schema", tmp_path / "schema.yaml", "--out", tmp_path / "d"
    )
    assert not (tmp_path / "d").exists()

    copy = tmp_path / "copy"
    shutil.copytree(dataset.path, copy)
    shard = next(copy.glob("train/*.parquet"))
    content = shard.read_bytes()
    shard.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    assert "sha256" in refused("train", "--data", copy, "--batch-size", 256, "--out", tmp_path / "run")
    assert "There is no dataset" in refused("train", "--data", tmp_path / "no", "--out", tmp_path / "run")
    assert "There is no run" in refused("evaluate", tmp_path / "no", "--data", dataset.path)
    assert "is not a run" in refused("evaluate", bundle_path, "--data", dataset.path)
    assert "cannot be written" in refused("score", bundle_path, raw_clicks, "--out", "/proc/s.parquet")
    assert "`memory_limit` must be at least 768 MiB" in refused(*prepare, raw_clicks, "--memory-limit", "10MB")
    assert "such as 4GB" in refused(*prepare, raw_clicks, "--memory-limit", "much")
    assert "`workers` must be between 1 and 1024" in refused(*prepare, raw_clicks, "--workers", 0)

    shutil.copytree(bundle_path, tmp_path / "bundle")
    (tmp_path / "bundle" / "weights.safetensors").write_bytes(b"x")
    line = refused("score", tmp_path / "bundle", raw_clicks, "--out", tmp_path / "s.parquet")
    assert "weights.safetensors" in line
    (tmp_path / "bundle" / "manifest.json").unlink()
    cases = ((tmp_path / "bundle", "is not a run or bundle"), (tmp_path / "none", "no run or bundle at"))
    for folder, problem in cases:
        assert problem in refused("score", folder, raw_clicks, "--out", tmp_path / "s.parquet")


def test_prepare_wants_one_meaning_of_the_columns(raw_clicks, tmp_path):
    line = refused("prepare", raw_clicks, "--out", tmp_path / "d", code=2)
    assert line == "error: Give either --preset or --schema. See `ctrfast prepare --help`."


def test_inspect_says_what_to_look_at(tmp_path):
    raw, data = tmp_path / "raw.tsv", tmp_path / "data"
    (tmp_path / "schema.yaml").write_text(
        "name: tiny\ncolumns: [label, '[b]n']\nlabel: label\nid_fields: [{name: '[b]n'}]\n"
    )
    raw.write_text("".join(f"{row % 2}\tsame\n" for row in range(40)))
    called("prepare", raw, "--schema", tmp_path / "schema.yaml", "--valid-fraction", 0, "--out", data)
    done = called("inspect", data, "--html", tmp_path / "report.html")
    lines = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
    assert any(line.startswith("warning: [b]n: It has one value in all training rows.") for line in lines)
    assert any("valid has no rows" in line for line in lines)
    assert done.stdout.splitlines()[-1].startswith("warning: ")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert "cannot be written" in refused("inspect", data, "--html", "/proc/none/report.html")


def test_prepare_splits_by_a_column_and_leaves_negatives_out(tmp_path):
    raw, data = tmp_path / "raw.tsv", tmp_path / "data"
    (tmp_path / "schema.yaml").write_text("name: tiny\ncolumns: [y, part, a]\nlabel: y\nid_fields: [{name: a}]\n")
    raw.write_text("".join(f"{int(row % 4 == 0)}\t{('train', 'test')[row % 5 == 0]}\tv\n" for row in range(400)))
    settings = ("--split", "column", "--split-column", "part", "--negative-rate", 0.5)
    line = called("prepare", raw, "--schema", tmp_path / "schema.yaml", *settings, "--out", data).stdout
    train, dropped = (
        int(re.search(pattern, line)[1]) for pattern in (r"train (\d+)", r"dropped (\d+) without a click")
    )
    assert train + dropped == 320
    assert 80 < dropped < 160
    assert ", test 80 rows" in line
    report = "train keeps 0.5 of its rows with label 0; models correct for it"
    assert report in called("inspect", data, "--html", tmp_path / "report.html").stdout.splitlines()
    assert "train keeps 50.00%" in (tmp_path / "report.html").read_text()
    other = ("prepare", raw, "--schema", tmp_path / "schema.yaml", "--out", tmp_path / "other")
    assert "`split` can be time only where the schema has a `timestamp`" in refused(*other, "--split", "time")
    assert "`negative_rate` must be in (0, 1]" in refused(*other, "--negative-rate", 0)


def test_an_interrupted_training_keeps_a_checkpoint_and_says_so(dataset, tmp_path):
    out = tmp_path / "[run]"
    train = ("train", "--data", dataset.path, "--out", out, "--batch-size", 64, "--set", "model.hidden=[8]")
    arguments = [CTRFAST, *map(str, train), "--epochs", "2000"]
    child = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    while not list(out.glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=240)
    assert child.returncode == 130
    assert errors.startswith("error: Stopped after")
    assert "has not finished" in refused("evaluate", out, "--data", dataset.path)


def test_a_plan_on_a_dataset_shows_findings_memory_and_time(dataset):
    text = called("plan", "--data", dataset.path, "--batch-size", 5000).stdout
    assert "error: `batch_size` must be at most the training split's 4,200 rows" in text
    text = called("plan", "--data", dataset.path, "--batch-size", 512).stdout
    assert "memory for training on CPU: at most about" in text
    assert "for 8 steps of about" in text
    assert re.search(r"most unseen in test: C\d+ \d+\.\d%", text)
    assert "warning" not in text  # its rows are alike: as many are unseen as were to be expected
    assert "error" not in text


def test_a_folder_that_is_taken_is_told_of_before_the_dataset_is_read(tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "notes").touch()
    assert "run exists already" in refused("train", "--data", tmp_path / "none", "--out", out)


def test_warnings_of_a_training_are_not_among_its_results(dataset, tmp_path):
    train = ("train", "--data", dataset.path, "--batch-size", 1500, "--out", tmp_path / "run")
    done = called(*train, "--set", "model.hidden=[4]")
    assert "test_auc" in done.stdout
    assert "warning:" not in done.stdout
    (line,) = done.stderr.splitlines()  # of values unseen there is no word: as many are as were to be expected
    assert line.startswith("warning: 1,200 of the 4,200 training rows (29%) are left out of each epoch")


def test_what_a_dataset_lacks_is_refused_before_tensorflow_starts(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    shutil.copytree(dataset.path, tmp_path / "data")
    next((tmp_path / "data" / "train").iterdir()).unlink()
    done = ctrfast("train", "--data", tmp_path / "data", "--out", tmp_path / "run", code=1)
    assert "error: train/part-00000.parquet must have the manifest's" in done.stderr
    assert "ctrfast.preflight" in done.stderr
    assert not re.search(r"\| +tensorflow$", done.stderr, re.MULTILINE)
    assert not (tmp_path / "run").exists()
