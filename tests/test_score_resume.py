"""Batch scoring that was killed goes on from its finished blocks, in bounded memory, and ends with the same bytes."""

import os
import signal
import subprocess
import sys
import threading
import weakref

import numpy as np
import pyarrow.parquet as pq
import pytest

import ctrfast.batch_score as batch_score
from ctrfast.batch_score import can_resume, score_files
from ctrfast.data.ahead import threads
from ctrfast.data.synth import synth
from ctrfast.errors import ArtifactError, Cancelled, ConfigError, DataError
from ctrfast.score import Scorer

ROWS = 3000
PER_BLOCK = 100


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "clicks.tsv"
    synth(path, "criteo", ROWS, 5)
    return path


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 100 rows; gives the references to all that were cut."""
    cut = batch_score.chunks_of
    seen = []

    def chunks_of(*args, **options):
        for chunk in cut(*args, **options, rows_per_block=PER_BLOCK):
            seen.append(weakref.ref(chunk))
            yield chunk

    monkeypatch.setattr(batch_score, "chunks_of", chunks_of)
    return seen


def stop_after(rows):
    def on_progress(done):
        if done >= rows:
            raise Cancelled("enough")

    return on_progress


def parts_of(out):
    return sorted(path.name for path in (out.parent / f".{out.name}.score").glob("part-*"))


@pytest.fixture
def stopped(bundle_path, raw, tmp_path, small_blocks):
    """A result of which seven blocks are finished."""
    out = tmp_path / "s.parquet"
    with pytest.raises(Cancelled):
        score_files(bundle_path, [raw], out, calibrated=True, on_progress=stop_after(700))
    assert len(parts_of(out)) == 7
    assert not out.exists()
    return out


def test_a_stopped_scoring_goes_on_and_ends_with_the_same_bytes(bundle_path, raw, stopped, tmp_path, monkeypatch):
    whole = score_files(bundle_path, [raw], tmp_path / "whole.parquet", calibrated=True)
    assert (whole.rows, whole.kept_rows) == (ROWS, 0)
    assert whole.rows_per_s == pytest.approx(ROWS / whole.seconds)
    scored_rows = []
    predict_arrays = Scorer.predict_arrays
    monkeypatch.setattr(
        Scorer,
        "predict_arrays",
        lambda self, ids, numbers: scored_rows.append(len(ids)) or predict_arrays(self, ids, numbers),
    )
    assert can_resume(bundle_path, [raw], stopped, calibrated=True)
    again = score_files(bundle_path, [raw], stopped, calibrated=True, resume=True)
    assert (again.rows, again.kept_rows, again.unseen) == (ROWS, 700, whole.unseen)
    assert again.rows_per_s == pytest.approx(2300 / again.seconds)
    assert sum(scored_rows) == 2300 + 256  # and the golden rows
    assert stopped.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.parquet", "whole.parquet"]


def test_without_resume_it_begins_anew(bundle_path, raw, stopped):
    assert score_files(bundle_path, [raw], stopped, calibrated=True).kept_rows == 0
    assert pq.read_metadata(stopped).num_rows == ROWS


@pytest.mark.parametrize("changed", ["columns", "inputs", "content", "model"])
def test_parts_of_other_work_are_refused(bundle_path, run_path, raw, stopped, tmp_path, changed):
    other = tmp_path / "other.tsv"
    other.write_bytes(raw.read_bytes())
    given = {
        "columns": (bundle_path, [raw], False),
        "inputs": (bundle_path, [other], True),
        "content": (bundle_path, [raw], True),
        "model": (run_path, [raw], True),
    }
    model, inputs, calibrated = given[changed]
    times = raw.stat()
    if changed == "content":
        os.utime(raw, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    try:
        assert not can_resume(model, inputs, stopped, calibrated=calibrated)
        with pytest.raises(ArtifactError, match="made from other inputs") as caught:
            score_files(model, inputs, stopped, calibrated=calibrated, resume=True)
    finally:
        os.utime(raw, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert caught.value.path == "resume"
    assert len(parts_of(stopped)) == 7
    assert can_resume(bundle_path, [raw], stopped, calibrated=True)


def test_a_dataset_is_resumed_too(bundle_path, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(batch_score, "_BATCH", 500)
    out, whole = tmp_path / "s.parquet", tmp_path / "whole.parquet"
    with pytest.raises(Cancelled):
        score_files(bundle_path, [dataset.path], out, on_progress=stop_after(4500))  # past the training split
    resumed = score_files(bundle_path, [dataset.path], out, resume=True)
    assert resumed.kept_rows >= 4500
    score_files(bundle_path, [dataset.path], whole)
    assert out.read_bytes() == whole.read_bytes()


def test_a_bad_row_far_down_leaves_nothing(bundle_path, raw, tmp_path, small_blocks):
    bad = tmp_path / "bad.tsv"
    lines = raw.read_bytes().splitlines(keepends=True)
    lines[1500] = b"0\tmany" + b"\t0" * 38 + b"\n"
    bad.write_bytes(b"".join(lines))
    with pytest.raises(DataError, match=r"Line 1501 of .*bad\.tsv"):
        score_files(bundle_path, [bad], tmp_path / "s.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tsv"]


def test_a_second_call_for_the_same_file_is_refused(bundle_path, raw, tmp_path, small_blocks):
    out = tmp_path / "s.parquet"

    def meanwhile(rows):
        if rows > PER_BLOCK:
            return
        with pytest.raises(ConfigError, match="Another process is making"):
            score_files(bundle_path, [raw], out, resume=True)

    score_files(bundle_path, [raw], out, on_progress=meanwhile)


def test_no_more_blocks_are_alive_than_threads_can_use(bundle_path, raw, tmp_path, small_blocks, monkeypatch):
    alive, at_work = [], set()
    predict_arrays = Scorer.predict_arrays

    def watched(self, ids, numbers):
        alive.append(sum(chunk() is not None for chunk in small_blocks))
        at_work.add(threading.get_ident())
        return predict_arrays(self, ids, numbers)

    monkeypatch.setattr(Scorer, "predict_arrays", watched)
    score_files(bundle_path, [raw], tmp_path / "s.parquet")
    assert len(small_blocks) == ROWS / PER_BLOCK
    assert max(alive) <= threads() + 2  # one that waits for its turn, and one that is being cut
    assert len(at_work - {threading.get_ident()}) == threads()


def test_calibrated_is_a_second_column(bundle_path, raw, stopped):
    score_files(bundle_path, [raw], stopped, calibrated=True, resume=True)
    table = pq.read_table(stopped)
    assert table.column_names == ["score", "calibrated"]
    scores, calibrated = (table[name].to_numpy() for name in table.column_names)
    np.testing.assert_array_equal(calibrated, Scorer.load(bundle_path).calibrate(scores))


def test_a_run_scores_blocks_in_threads_as_its_bundle_does(run_path, bundle_path, raw, tmp_path, small_blocks):
    for model, name in ((run_path, "run"), (bundle_path, "bundle")):
        score_files(model, [raw], tmp_path / name, calibrated=True)
    by_run, by_bundle = (pq.read_table(tmp_path / name) for name in ("run", "bundle"))
    for name in ("score", "calibrated"):
        np.testing.assert_allclose(by_run[name], by_bundle[name], rtol=0, atol=1e-5)


PROGRAM = """
import os, signal, sys
from pathlib import Path
import ctrfast.batch_score as batch_score
from ctrfast.data.raw import chunks_of
batch_score.chunks_of = lambda *args, **options: chunks_of(*args, **options, rows_per_block=100)
model, raw, out, last = sys.argv[1:]
def on_progress(rows):
    if rows >= int(last):
        os.kill(os.getpid(), signal.SIGKILL)
batch_score.score_files(Path(model), [Path(raw)], Path(out), resume=True, on_progress=on_progress)
"""


def test_killed_twice_it_ends_with_the_same_bytes(bundle_path, raw, tmp_path, small_blocks):
    out, whole = tmp_path / "s.parquet", tmp_path / "whole.parquet"
    for last in (1100, 3000):  # the second kill comes when all blocks are there and the result is not
        done = subprocess.run([sys.executable, "-c", PROGRAM, bundle_path, raw, out, str(last)], capture_output=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert len(parts_of(out)) == last / PER_BLOCK
    assert score_files(bundle_path, [raw], out, resume=True).kept_rows == ROWS
    score_files(bundle_path, [raw], whole)
    assert out.read_bytes() == whole.read_bytes()
