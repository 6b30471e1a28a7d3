"""The same rows score alike offline, by bundle, over REST and by a batch job: on real rows where they are at hand."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from ctrfast.config import parse_config
from ctrfast.data.batches import fused_ids
from ctrfast.data.prepare import prepare
from ctrfast.data.raw import read_raw
from ctrfast.data.rejects import RefuseRejects
from ctrfast.data.shards import Dataset
from ctrfast.export import export_bundle
from ctrfast.folders import file_hash
from ctrfast.run import Run
from ctrfast.run_network import RunScorer
from ctrfast.schema import preset
from ctrfast.score import Scorer
from ctrfast.train import train
from service.assignments import Assignment
from service.states import Kind
from service.stopping import Stop
from service.work import do_work
from tests.service.conftest import Api, publish

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "criteo" / "train_sample.tsv.gz"
SCHEMA = preset("criteo")
PIECE = 1000

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """A run, its bundle, and raw rows that both can score."""

    raw: Path
    run: Path
    bundle: Path


@pytest.fixture(params=["synthetic", *(["real"] if SAMPLE.is_file() else [])])
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> Trained:
    """3,000 synthetic rows, or 20,000 of Criteo's, half of them later than training."""
    if request.param == "synthetic":
        bundle = request.getfixturevalue("bundle")
        return Trained(request.getfixturevalue("raw_file"), bundle.parent / "run", bundle)
    raw = tmp_path / "real.tsv"
    with gzip.open(SAMPLE, "rb") as file:
        raw.write_bytes(b"".join(islice(file, 20_000)))
    prepare([raw], SCHEMA, tmp_path / "d", min_count=2, split="sequential", valid_fraction=0.1, test_fraction=0.5)
    config = parse_config({"batch_size": 1024, "epochs": 4, "model": {"hidden": [32]}})
    train(Dataset.open(tmp_path / "d"), config, tmp_path / "run")
    export_bundle(tmp_path / "run", tmp_path / "bundle")
    return Trained(raw, tmp_path / "run", tmp_path / "bundle")


def json_rows(raw: Path) -> list[dict[str, Any]]:
    content = raw.read_bytes()
    text = (gzip.decompress(content) if raw.suffix == ".gz" else content).decode()
    lines = [line.split("\t") for line in text.splitlines()]
    return [{name: value or None for name, value in zip(SCHEMA.columns[1:], line[1:], strict=True)} for line in lines]


def by_training_graph(trained: Trained) -> tuple[Scores, Scores]:
    scorer = RunScorer(Run.open(trained.run))
    parts = []
    for block in read_raw([trained.raw], SCHEMA, rejects=RefuseRejects()):
        encoded = scorer.encoder.encode_block(block.texts, block.numbers, block.rows)
        parts.append(scorer.score_arrays(fused_ids(encoded.ids, scorer.encoder.fitted), encoded.numbers))
    scores = np.concatenate(parts)
    return scores, scorer.calibrate(scores)


def by_bundle(trained: Trained, rows: list[dict[str, Any]]) -> tuple[Scores, Scores]:
    scorer = Scorer.load(trained.bundle)
    scores = scorer.score_rows(rows)
    return scores, scorer.calibrate(scores)


def by_rest(api: Api, rows: list[dict[str, Any]]) -> tuple[list[float], list[float], list[float]]:
    """Predictions, then probabilities and calibrated ones of `/v1/score`."""
    predictions: list[float] = []
    scores: list[dict[str, float]] = []
    for piece in _pieces(rows):
        predictions += api.client.post("/v1/models/ctr:predict", json={"instances": piece}).json()["predictions"]
        scores += api.client.post("/v1/score", json={"model": "ctr", "candidates": piece}).json()["scores"]
    return predictions, [each["probability"] for each in scores], [each["calibrated"] for each in scores]


def by_job(trained: Trained, folder: Path) -> tuple[Scores, Scores]:
    home = folder / "1"
    home.symlink_to(trained.bundle)
    (folder / "job").mkdir()
    job = Assignment(
        job_id="j",
        attempt=1,
        kind=Kind.SCORE,
        spec={"model": "ctr", "inputs": ["x"], "calibrated": True},
        folder=folder / "job",
        parent=os.getpid(),
        lease_s=60,
        bundle=home,
        bundle_sha256=file_hash(trained.bundle / "manifest.json"),
        version=1,
        files=(trained.raw,),
    )
    (output,) = do_work(job, lambda _: None, Stop()).result["outputs"]
    table = pq.read_table(folder / "job" / "outputs" / output)
    return table["score"].to_numpy(), table["calibrated"].to_numpy()


def _pieces(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), PIECE):
        yield rows[start : start + PIECE]


def test_all_ways_give_the_same_scores(trained: Trained, tmp_path: Path, make_api: Callable[..., Api]) -> None:
    rows = json_rows(trained.raw)
    scores, calibrated = by_training_graph(trained)
    api = make_api()
    publish(api, trained.bundle)
    predictions, probabilities, mended = by_rest(api, rows)
    bundle_scores, bundle_calibrated = by_bundle(trained, rows)
    job_scores, job_calibrated = by_job(trained, tmp_path)
    assert len(scores) == len(rows) >= 3000
    assert scores.std() > 0.01
    for others in (bundle_scores, predictions, probabilities, job_scores):
        np.testing.assert_allclose(others, scores, rtol=0, atol=1e-5)
    for others in (bundle_calibrated, mended, job_calibrated):
        np.testing.assert_allclose(others, calibrated, rtol=0, atol=1e-5)
