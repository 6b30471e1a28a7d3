"""What each kind of job does, in this process: stop and go on, evaluate, and leftovers of killed attempts."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ctrfast.data.shards import Dataset
from ctrfast.errors import ArtifactError, Cancelled
from ctrfast.folders import file_hash
from ctrfast.run import Run
from ctrfast.schema import Schema, preset
from service.assignments import Assignment
from service.outcomes import failure_of
from service.states import Kind, Reason
from service.stopping import Stop
from service.work import do_work

TRAIN = {"dataset": "d", "batch_size": 500, "epochs": 3, "model": {"hidden": [8], "embedding_dim": 4}}


def assignment(folder: Path, kind: Kind, spec: dict[str, Any], **resolved: Any) -> Assignment:
    folder.mkdir(exist_ok=True)
    return Assignment(
        job_id="j", attempt=1, kind=kind, spec=spec, folder=folder, parent=os.getpid(), lease_s=60, **resolved
    )


def ignore(_: Mapping[str, Any]) -> None:
    pass


@pytest.fixture
def stop() -> Iterator[Stop]:
    """A stop that listens to SIGTERM, as in the runner."""
    before = signal.getsignal(signal.SIGTERM)
    stop = Stop()
    stop.listen()
    yield stop
    signal.signal(signal.SIGTERM, before)


def test_every_record_of_a_training_is_told_at_its_own_step(tmp_path: Path, dataset: Path, stop: Stop) -> None:
    registered = {"dataset": dataset, "dataset_hash": Dataset.open(dataset).hash}
    work = assignment(tmp_path / "job", Kind.TRAIN, {**TRAIN, "log_every_steps": 1}, **registered)
    told: list[Mapping[str, Any]] = []

    def stop_once(message: Mapping[str, Any]) -> None:
        told.append(message)
        if message["type"] == "progress" and 0.3 < message["progress"] < 0.9 and not stopped:
            stopped.append(message)
            os.kill(os.getpid(), signal.SIGTERM)

    stopped: list[Mapping[str, Any]] = []
    with pytest.raises(Cancelled):
        do_work(work, stop_once, stop)
    do_work(work, stop_once, Stop())

    records = [message["record"] for message in told if message["type"] == "metric"]
    log = [json.loads(line) for line in (work.folder / "run" / "metrics.jsonl").read_text().splitlines()]
    expected = [(record["step"], record["loss"]) for record in log if record["kind"] == "train"]
    assert [step for step, _ in expected] == list(range(1, 13))
    assert [(record["step"], record["loss"]) for record in records if "loss" in record] == expected
    assert [record["valid_auc"] for record in records if "valid_auc" in record] == [
        record["auc"] for record in log if record.get("split") == "valid"
    ]


def test_a_stopped_training_keeps_a_checkpoint_and_goes_on(tmp_path: Path, dataset: Path, stop: Stop) -> None:
    registered = {"dataset": dataset, "dataset_hash": Dataset.open(dataset).hash}
    work = assignment(tmp_path / "job", Kind.TRAIN, TRAIN, **registered)
    run = work.folder / "run"

    def stop_at_once(message: Mapping[str, Any]) -> None:
        if message.get("progress", 1) < 1:
            os.kill(os.getpid(), signal.SIGTERM)

    (run / "checkpoints").mkdir(parents=True)  # a folder that is no run
    with pytest.raises(Cancelled):
        do_work(work, stop_at_once, stop)
    assert list((run / "checkpoints").glob("step-*"))
    (run / "checkpoints" / ".partial-step-1").mkdir()  # as a kill in the middle of a checkpoint leaves it

    told: list[Mapping[str, Any]] = []
    product = do_work(work, told.append, Stop())
    assert next(message for message in told if message["type"] == "progress")["facts"]["step"] > 1
    assert told[-1]["progress"] == 1.0
    assert product.metrics["test_auc"] == Run.open(run).metrics["test_auc"]
    assert not list(run.rglob(".partial-*"))

    silent: list[Mapping[str, Any]] = []
    again = do_work(work, silent.append, Stop())  # after an attempt that died between training and publishing
    assert again.metrics == product.metrics
    assert silent == []  # it did not train again

    measured = assignment(
        tmp_path / "other", Kind.EVALUATE, {"dataset": "d", "job": "j", "split": "test"}, run=run, **registered
    )
    figures = do_work(measured, ignore, Stop()).metrics
    assert figures["test_auc"] == pytest.approx(product.metrics["test_auc"], abs=1e-6)


def test_prepare_by_a_schema_of_ones_own(tmp_path: Path) -> None:
    raw = tmp_path / "clicks.csv"
    raw.write_text("clicked,user,tags\n" + "".join(f"{row % 3 == 0:d},u{row % 7},a|b{row % 2}\n" for row in range(200)))
    schema = {
        "name": "own",
        "columns": ["clicked", "user", "tags"],
        "label": "clicked",
        "id_fields": [{"name": "user"}, {"name": "tags", "separator": "|", "max_values": 2}],
        "separator": ",",
        "header": True,
    }
    spec = {"name": "d", "raw": ["x"], "schema": schema}
    do_work(assignment(tmp_path / "job", Kind.PREPARE, spec, files=(raw,)), ignore, Stop())
    dataset = Dataset.open(tmp_path / "job" / "dataset")
    assert dataset.fitted.schema_ == Schema.model_validate(schema)
    assert dataset.fitted.vocabulary_sizes == {"user": 7, "tags": 3}


def test_prepare_again_after_a_kill(tmp_path: Path, raw_file: Path) -> None:
    spec = {"name": "d", "raw": ["x"], "preset": "criteo"}
    work = assignment(tmp_path / "job", Kind.PREPARE, spec, files=(raw_file,))
    (work.folder / "dataset").mkdir()
    (work.folder / "dataset" / "half").touch()
    (work.folder / ".partial-dataset-1").mkdir()
    told: list[Mapping[str, Any]] = []
    report = do_work(work, told.append, Stop()).result["report"]
    assert sum(report["rows"].values()) == 3000
    assert told
    shares = [message["progress"] for message in told]
    assert shares == sorted(shares)
    assert all(0 < share <= 1 for share in shares)
    assert set(told[0]["facts"]) == {"stage", "rows", "total_rows", "rows_per_s"}
    assert sorted(path.name for path in work.folder.iterdir()) == ["dataset"]


def test_prepare_takes_split_column_and_negative_rate(tmp_path: Path) -> None:
    lines = [f"{row},{int(row % 4 == 0)},141021{row % 24:02},{','.join(['train', *'x' * 20])}\n" for row in range(200)]
    raw = tmp_path / "raw.csv"
    raw.write_text(",".join(preset("avazu").columns) + "\n" + "".join(lines))
    settings = {"split": "column", "split_column": "C1", "negative_rate": 0.5}
    spec = {"name": "d", "raw": ["x"], "preset": "avazu", **settings}
    work = assignment(tmp_path / "job", Kind.PREPARE, spec, files=(raw,))
    report = do_work(work, ignore, Stop()).result["report"]
    assert report["rows"]["train"] + report["dropped"] == 200
    assert report["dropped"] > 40
    assert settings.items() <= Dataset.open(work.folder / "dataset").manifest.preparation.items()


def test_sigterm_in_prepare_leaves_nothing(tmp_path: Path, raw_file: Path, stop: Stop) -> None:
    work = assignment(
        tmp_path / "job", Kind.PREPARE, {"name": "d", "raw": ["x"], "preset": "criteo"}, files=(raw_file,)
    )
    with pytest.raises(Cancelled):
        do_work(work, lambda _: os.kill(os.getpid(), signal.SIGTERM), stop)
    assert list(work.folder.iterdir()) == []


def test_score(tmp_path: Path, raw_file: Path, bundle: Path) -> None:
    home = tmp_path / "7"
    home.symlink_to(bundle)
    spec = {"model": "m", "inputs": ["x"], "out": "s.parquet"}
    sha256 = file_hash(bundle / "manifest.json")
    work = assignment(
        tmp_path / "job", Kind.SCORE, spec, bundle=home, bundle_sha256=sha256, version=7, files=(raw_file, raw_file)
    )
    for _ in range(2):
        result = do_work(work, ignore, Stop()).result
        assert set(result.pop("unseen")) == {f"C{field}" for field in range(1, 27)}
        assert result == {
            "rows": 6000,
            "outputs": ["s.parquet"],
            "model": "m",
            "version": 7,
        }
    assert pq.read_table(work.folder / "outputs" / "s.parquet").num_rows == 6000


def test_a_stopped_scoring_goes_on_and_another_version_begins_anew(
    tmp_path: Path, raw_file: Path, bundle: Path, stop: Stop
) -> None:
    home = tmp_path / "7"
    home.symlink_to(bundle)
    spec = {"model": "m", "inputs": ["x"], "calibrated": True}
    registered = {"bundle": home, "bundle_sha256": file_hash(bundle / "manifest.json"), "version": 7}
    files = (raw_file, raw_file, raw_file)
    work = assignment(tmp_path / "job", Kind.SCORE, spec, files=files, **registered)
    kept = work.folder / "outputs" / ".scores.parquet.score"
    with pytest.raises(Cancelled):
        do_work(work, lambda _: os.kill(os.getpid(), signal.SIGTERM), stop)
    assert [part.name for part in kept.glob("part-*")] == ["part-000000.parquet"]
    first = (kept / "part-000000.parquet").stat().st_mtime_ns

    seen: list[tuple[int, int]] = []

    def look(message: Mapping[str, Any]) -> None:
        seen.append((message["facts"]["rows"], (kept / "part-000000.parquet").stat().st_mtime_ns))

    product = do_work(work, look, Stop())
    assert seen[0] == (6000, first)  # the first block is as the last attempt left it
    assert product.result["rows"] == 9000
    assert product.metrics["rows_per_s"] > 0
    output = work.folder / "outputs" / "scores.parquet"
    assert pq.read_table(output).column_names == ["score", "calibrated"]

    output.unlink()
    with pytest.raises(Cancelled):
        do_work(work, lambda _: os.kill(os.getpid(), signal.SIGTERM), _listening())
    fewer = work.model_copy(update={"files": files[:2]})
    assert do_work(fewer, ignore, Stop()).result["rows"] == 6000
    assert [path.name for path in output.parent.iterdir()] == ["scores.parquet"]


def _listening() -> Stop:
    stop = Stop()
    stop.listen()
    return stop


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        (Kind.TRAIN, TRAIN),
        (Kind.EVALUATE, {"dataset": "d", "job": "j"}),
        (Kind.SCORE, {"model": "m", "inputs": ["x"]}),
    ],
)
def test_what_is_not_what_was_registered_is_bad_data(
    tmp_path: Path, dataset: Path, bundle: Path, raw_file: Path, kind: Kind, spec: dict[str, Any]
) -> None:
    resolved = {"dataset": dataset, "dataset_hash": "0" * 64, "run": tmp_path, "files": (raw_file,)}
    work = assignment(tmp_path / "job", kind, spec, bundle=bundle, bundle_sha256="0" * 64, **resolved)
    with pytest.raises(ArtifactError, match="not the one that was") as caught:
        do_work(work, ignore, Stop())
    reason, message = failure_of(caught.value)
    assert reason is Reason.BAD_DATA
    assert str(tmp_path) not in message


def test_a_sweep_exports_its_best_run(tmp_path: Path, bundle: Path) -> None:
    run = bundle.parent / "run"
    work = assignment(tmp_path / "job", Kind.SWEEP, {"base": {}, "grid": {"seed": [1]}}, run=run)
    made = work.folder / "bundle"
    for _ in range(2):  # also after an attempt that died before it was published
        product = do_work(work, ignore, Stop())
        assert product.metrics == Run.open(run).metrics
    assert {file.name for file in made.iterdir()} == {file.name for file in bundle.iterdir()}
