"""A bundle's figures on prepared rows are those of the raw rows that it would be sent."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from ctrfast.bundle_evaluation import evaluate_bundle, id_map
from ctrfast.data.batches import fused_ids
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.errors import ArtifactError
from ctrfast.metrics import Predictions
from ctrfast.schema import Schema, preset
from ctrfast.score import Scorer

COLUMNS = ("click", "user", "item", "history")


def schema(**user: object) -> Schema:
    fields = [
        {"name": "user", "unseen_buckets": 3, **user},
        {"name": "item"},
        {"name": "history", "separator": "|", "max_values": 3, "share": "item"},
    ]
    return Schema.model_validate(
        {"name": "own", "columns": COLUMNS, "label": "click", "id_fields": fields, "separator": ",", "header": True}
    )


def write_clicks(file: Path, first: int, rows: int) -> Path:
    lines = [f"{row % 2},u{row},i{row % 5 + first},i{row % 3}|i{row % 7 + first}" for row in range(first, first + rows)]
    file.write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    return file


@pytest.fixture
def days(tmp_path: Path) -> tuple[Dataset, Dataset]:
    """A dataset, and one whose vocabularies have grown from it."""
    first = write_clicks(tmp_path / "first.csv", 0, 60)
    second = write_clicks(tmp_path / "second.csv", 20, 80)
    prepare([first], schema(), tmp_path / "a", split="sequential")
    prepare([second], schema(), tmp_path / "b", split="sequential", vocabulary_from=tmp_path / "a", grow=True)
    return Dataset.open(tmp_path / "a"), Dataset.open(tmp_path / "b")


def test_ids_of_a_grown_vocabulary_become_those_of_the_earlier_one(days: tuple[Dataset, Dataset]) -> None:
    earlier, later = (dataset.encoder() for dataset in days)
    assert len(later.vocabularies["user"]) > len(earlier.vocabularies["user"])
    rows = [{"user": f"u{row}", "item": f"i{row % 40}", "history": f"i{row}|i{row % 9}"} for row in range(150)]
    rows += [{}, {"user": None, "item": ""}, {"history": "i1"}]
    inputs = [fused_ids(encoder.encode_rows(rows).ids, encoder.fitted) for encoder in (earlier, later)]
    assert not np.array_equal(*inputs)
    np.testing.assert_array_equal(id_map(earlier, later)(inputs[1]), inputs[0])


def test_the_same_vocabulary_needs_no_map(days: tuple[Dataset, Dataset]) -> None:
    encoder = days[0].encoder()
    ids = np.arange(8, dtype=np.int32).reshape(2, 4)
    assert id_map(encoder, encoder)(ids) is ids


def test_other_vocabularies_are_refused(days: tuple[Dataset, Dataset], tmp_path: Path) -> None:
    earlier, later = (dataset.encoder() for dataset in days)
    with pytest.raises(ArtifactError, match="does not begin with"):
        id_map(later, earlier)
    prepare([write_clicks(tmp_path / "x.csv", 0, 60)], schema(unseen_buckets=1), tmp_path / "x", split="sequential")
    with pytest.raises(ArtifactError, match="another schema"):
        id_map(earlier, Dataset.open(tmp_path / "x").encoder())


def test_figures_on_a_grown_dataset_are_those_of_its_raw_rows(
    dataset: Dataset, bundle_path: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "next.tsv.gz"
    synth(raw, "criteo", 1000, 7)
    prepare([raw], preset("criteo"), tmp_path / "next", split="sequential", vocabulary_from=dataset.path, grow=True)
    columns = preset("criteo").columns
    with gzip.open(raw, "rt") as file:
        lines = [line.rstrip("\n").split("\t") for line in file][-100:]  # the test split
    rows = [{name: value or None for name, value in zip(columns[1:], line[1:], strict=True)} for line in lines]
    scorer = Scorer.load(bundle_path)
    scores = scorer.score_rows(rows).astype(np.float64)
    expected = Predictions()
    expected.add([float(line[0]) for line in lines], np.log(scores / (1 - scores)))

    calls: list[int] = []
    found = evaluate_bundle(scorer, Dataset.open(tmp_path / "next"), "test", lambda: calls.append(1))
    assert found["rows"] == 100
    assert found == pytest.approx(expected.metrics(), abs=1e-6)
    assert calls == [1]
