"""The real Criteo sample, where it lies beside the repository; the synthetic teacher stands in elsewhere."""

from pathlib import Path

import pytest

from ctrfast.config import parse_config
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.schema import preset
from ctrfast.train import train

SAMPLE = Path(__file__).parents[2] / "shared" / "data" / "criteo" / "train_sample.tsv.gz"


@pytest.fixture
def raw(tmp_path):
    if SAMPLE.is_file():
        return SAMPLE
    synth(tmp_path / "clicks.tsv.gz", "criteo", 110_000, 1)
    return tmp_path / "clicks.tsv.gz"


def test_one_pass_at_batch_128_reaches_the_auc_of_a_tuned_model_on_later_rows(raw, tmp_path):
    prepare(
        [raw], preset("criteo"), tmp_path / "d", min_count=4, split="sequential", valid_fraction=0, test_fraction=0.2
    )
    settings = {
        "batch_size": 128,
        "scaling": {"rule": "none"},
        "optimizer": {"lr_dense": 1e-3, "lr_embed": 1e-4, "l2": 1e-5},
    }
    result = train(Dataset.open(tmp_path / "d"), parse_config(settings), tmp_path / "r")
    assert result.metrics["test_auc"] >= 0.750
