import gzip
import json
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from ctrfast.data.profiles import PROFILES
from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import RefuseRejects
from ctrfast.data.synth import synth
from ctrfast.data.teacher import BLOCK_ROWS, Teacher, expected_auc
from ctrfast.data.work_folder import WorkFolder
from ctrfast.errors import ConfigError
from ctrfast.schema import PRESETS, load_schema, preset

ROWS = 40_000


@pytest.fixture(scope="module", params=["criteo", "avazu"])
def log(request, tmp_path_factory):
    """(preset, file, report) of a synthetic log."""
    name = request.param
    out = tmp_path_factory.mktemp(name) / ("log.tsv" if name == "criteo" else "log.csv")
    return name, out, synth(out, name, ROWS, 7)


def test_every_row_can_be_read(log):
    name, out, report = log
    blocks = list(read_raw([out], preset(name), rejects=RefuseRejects()))
    assert sum(block.rows for block in blocks) == ROWS == report.rows
    labels = np.concatenate([block.label for block in blocks])
    assert labels.mean() == pytest.approx(report.label_rate)


def test_the_teacher_tells_its_own_quality(log):
    name, out, report = log
    labels = np.concatenate([block.label for block in read_raw([out], preset(name), rejects=RefuseRejects())])
    scores = pq.read_table(f"{out}.teacher.parquet")["probability"].to_numpy()
    assert scores.dtype == np.float32
    assert report.teacher_auc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert report.teacher_log_loss == pytest.approx(log_loss(labels, scores.astype(float)), abs=1e-9)
    assert json.loads(out.with_name(f"{out.name}.teacher.json").read_text()) == report.model_dump()


def test_rate_and_auc_are_the_profiles(log):
    name, _, report = log
    assert report.label_rate == pytest.approx(PROFILES[name].label_rate, abs=0.01)
    assert report.teacher_auc == pytest.approx(PROFILES[name].auc, abs=0.01)


def test_missing_shares_are_the_profiles(log):
    name, out, _ = log
    schema = preset(name)
    names = None if schema.header else list(schema.columns)
    table = pd.read_csv(out, sep=schema.separator, names=names, header=0 if schema.header else None, dtype=str)
    profile = PROFILES[name]
    for field, item in {**profile.ids, **profile.counts}.items():
        assert table[field].isna().mean() == pytest.approx(item.missing, abs=0.02), field
    if name == "avazu":
        assert table["hour"].is_monotonic_increasing
        assert (table["hour"].min(), table["hour"].max(), table["hour"].nunique()) == ("14102100", "14103023", 240)
        assert table["id"].is_unique
    else:
        assert table["C3"].dropna().str.fullmatch("[0-9a-f]{8}").all()
        assert table["C3"].nunique() > 10_000 > 100 > table["C6"].nunique()


def test_the_same_seed_gives_the_same_bytes_packed_or_not(log, tmp_path):
    name, out, report = log
    again, packed = tmp_path / out.name, tmp_path / f"{out.name}.gz"
    assert synth(again, name, ROWS, 7) == report
    assert again.read_bytes() == out.read_bytes()
    synth(packed, name, ROWS, 7)
    assert gzip.decompress(packed.read_bytes()) == out.read_bytes()
    first = packed.read_bytes()
    packed.replace(tmp_path / "moved.gz")
    synth(packed, name, ROWS, 7)
    assert packed.read_bytes() == first  # no time and no name inside


def test_more_rows_start_with_the_same_rows(tmp_path):
    synth(tmp_path / "few.tsv", "criteo", 100, 1)
    synth(tmp_path / "many.tsv", "criteo", BLOCK_ROWS + 50, 1)
    synth(tmp_path / "other.tsv", "criteo", 100, 2)
    few = (tmp_path / "few.tsv").read_bytes()
    assert (tmp_path / "many.tsv").read_bytes().startswith(few)
    assert (tmp_path / "many.tsv").read_bytes().count(b"\n") == BLOCK_ROWS + 50
    assert (tmp_path / "other.tsv").read_bytes() != few


def test_expected_auc_is_that_of_drawn_labels():
    teacher = Teacher(PROFILES["criteo"], 3)
    probabilities = teacher.probabilities(teacher.block(0, 1))
    rng = np.random.default_rng(0)
    drawn = [roc_auc_score(rng.random(len(probabilities)) < probabilities, probabilities) for _ in range(20)]
    assert expected_auc(probabilities, probabilities) == pytest.approx(np.mean(drawn), abs=0.002)


def test_bad_settings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean criteo"):
        synth(tmp_path / "x.tsv", "critéo", 10, 1)
    with pytest.raises(ConfigError, match=r"`rows` must be >= 1\. Got rows=0"):
        synth(tmp_path / "x.tsv", "criteo", 0, 1)
    with pytest.raises(ConfigError, match="`seed`"):
        synth(tmp_path / "x.tsv", "criteo", 1, -1)
    (tmp_path / "x.tsv").touch()
    with pytest.raises(ConfigError, match="exists already"):
        synth(tmp_path / "x.tsv", "criteo", 1, 1)


def test_a_stopped_log_leaves_nothing_behind(tmp_path):
    def stop(rows, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synth(tmp_path / "x.tsv.gz", "criteo", 100, 1, on_progress=stop)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, pathlib, signal, sys
from ctrfast.data.synth import synth

log, replace = pathlib.Path(sys.argv[1]), pathlib.Path.replace

def dying(self, target):
    if target == log:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

pathlib.Path.replace = dying
synth(log, "criteo", 200, 2, conversions=True)
"""


@pytest.mark.parametrize("conversions", [True, False])
def test_what_a_killed_call_has_left_beside_no_log_is_written_over(tmp_path, conversions):
    log, beside = tmp_path / "log.tsv", ("schema.yaml", "teacher.json", "teacher.parquet")
    done = subprocess.run([sys.executable, "-c", KILLED, log], timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in sorted(tmp_path.glob("log.*"))] == [f"log.tsv.{end}" for end in beside]
    assert (tmp_path / ".log.tsv.synth").is_dir()
    report = synth(log, "criteo", 100, 1, conversions=conversions)
    assert not list(tmp_path.glob(".*"))
    synth(tmp_path / "whole.tsv", "criteo", 100, 1, conversions=conversions)
    names = ("log.tsv", "whole.tsv")
    made, whole = ({path.name[len(name) :]: path.read_bytes() for path in tmp_path.glob(f"{name}*")} for name in names)
    assert made == whole and len(made) == 3 + conversions
    assert json.loads((tmp_path / "log.tsv.teacher.json").read_text()) == report.model_dump()


def test_what_killed_calls_have_left_is_removed_and_what_others_make_is_not(tmp_path):
    dead, alive = tmp_path / ".dead.tsv.gz.synth", tmp_path / ".alive.tsv.synth"
    dead.mkdir()
    (dead / "log").write_bytes(b"half")
    with WorkFolder(tmp_path / "alive.tsv", "synth") as work:
        (work.path / "log").write_bytes(b"half")
        synth(tmp_path / "log.tsv", "criteo", 100, 1)
        assert sorted(tmp_path.glob(".*")) == [alive]
        with pytest.raises(ConfigError, match=r"Another process is making .*alive\.tsv"):
            synth(tmp_path / "alive.tsv", "criteo", 100, 1)
        assert (work.path / "log").read_bytes() == b"half"


def test_a_log_that_is_there_is_refused_with_or_without_what_belongs_to_it(tmp_path):
    log = tmp_path / "log.tsv"
    synth(log, "criteo", 100, 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match=r"log\.tsv exists already"):
        synth(log, "criteo", 100, 2)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "log.tsv.teacher.json").unlink()
    with pytest.raises(ConfigError, match=r"log\.tsv exists already"):
        synth(log, "criteo", 100, 2)


def test_a_log_that_somebody_else_writes_meanwhile_is_kept(tmp_path):
    out = tmp_path / "log.tsv"
    with pytest.raises(ConfigError, match="exists already"):
        synth(out, "criteo", 100, 1, on_progress=lambda done, rows: out.write_text("theirs"))
    assert out.read_text() == "theirs"


def test_every_preset_can_be_drawn_and_the_1tb_log_is_criteos(tmp_path):
    assert set(PROFILES) == set(PRESETS)
    for name in ("criteo", "criteo_1tb"):
        synth(tmp_path / f"{name}.tsv", name, 50, 1)
    assert (tmp_path / "criteo_1tb.tsv").read_bytes() == (tmp_path / "criteo.tsv").read_bytes()
    (block,) = read_raw([tmp_path / "criteo_1tb.tsv"], preset("criteo_1tb"), rejects=RefuseRejects())
    assert block.rows == 50


@pytest.mark.parametrize("name", ["criteo", "avazu"])
def test_conversions_follow_clicks_and_the_second_teacher_knows_them(name, tmp_path):
    plain = synth(tmp_path / "plain", name, ROWS, 7)
    report = synth(tmp_path / "log", name, ROWS, 7, conversions=True)
    schema = load_schema(tmp_path / "log.schema.yaml")
    assert schema.labels == (*preset(name).labels, "conversion")
    rejects = RefuseRejects()
    labels = np.concatenate([block.label for block in read_raw([tmp_path / "log"], schema, rejects=rejects)])
    clicks = np.concatenate([block.label for block in read_raw([tmp_path / "plain"], preset(name), rejects=rejects)])
    np.testing.assert_array_equal(labels[:, 0], clicks)
    np.testing.assert_array_equal(labels[:, 1] >= 0, clicks == 1)
    known = labels[clicks == 1, 1]
    scores = pq.read_table(tmp_path / "log.teacher.parquet")
    of_clicks = scores["conversion"].to_numpy()[clicks == 1]
    assert known.mean() == pytest.approx(report.conversion_rate)
    assert of_clicks.mean() == pytest.approx(known.mean(), abs=0.02)
    assert report.conversion_auc == pytest.approx(roc_auc_score(known, of_clicks), abs=1e-12)
    assert report.conversion_auc > 0.7
    assert report.conversion_log_loss == pytest.approx(log_loss(known, of_clicks.astype(float)), abs=1e-9)
    assert plain.model_dump() == {key: value for key, value in report.model_dump().items() if key in plain.model_dump()}
    assert json.loads((tmp_path / "log.teacher.json").read_text()) == report.model_dump()
