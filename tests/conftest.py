"""Shared by all tests: ctrfast is imported before TensorFlow, and one small dataset and run serve many tests."""

import gc
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import hypothesis
import pytest

import ctrfast  # noqa: F401
from ctrfast.config import parse_config
from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.schema import preset
from tests import tiny_clicks

# No deadline, no `too_slow`: the first call of a compiled function waits for its compilation, and machines stall.
# The same examples at each run: new ones are looked for by `make fuzz`, not by whoever changes something else.
PATIENT = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("default", PATIENT, derandomize=True)
hypothesis.settings.register_profile("new-examples", PATIENT, derandomize=False)
hypothesis.settings.register_profile("fuzz", PATIENT, derandomize=False, max_examples=10_000)
hypothesis.settings.load_profile("default")

SMALL_MODEL = {"embedding_dim": 4, "hidden": [16, 8]}

HERE = Path(__file__).parent
# Of a minute and more where all tests run on two cores, the longest first: one that began last would keep one process
# at work and leave the other with nothing to do.
LONGEST = (
    "notebooks/test_notebooks.py",
    "models/test_contract.py",
    "cluster/test_tasks.py",
    "cluster/test_two_nodes.py",
    "cluster/test_two_workers.py",
    "cluster/test_foreign_cluster.py",
    "test_score.py",
    "test_readme.py",
    "service/test_up.py",
    "test_task_runs.py",
    "service/test_openapi.py",
    "service/test_kill_matrix.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, all else as it was; pytest-xdist keeps this order (`--no-loadscope-reorder`)."""
    places = {HERE / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


def pytest_collection_finish() -> None:
    """Half a million objects of imports and tests stay: the collector need not look through them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def raw_clicks(tmp_path_factory) -> Path:
    """6,000 impressions in Criteo's raw format."""
    path = tmp_path_factory.mktemp("raw") / "clicks.tsv.gz"
    synth(path, "criteo", 6000, 3)
    return path


@pytest.fixture(scope="session")
def dataset(raw_clicks, tmp_path_factory) -> Dataset:
    """The impressions as a dataset: 4,200 train, 600 valid, 1,200 test rows in file order."""
    out = tmp_path_factory.mktemp("data") / "small"
    prepare([raw_clicks], preset("criteo"), out, min_count=2, split="sequential", valid_fraction=0.1, test_fraction=0.2)
    return Dataset.open(out)


@pytest.fixture
def small_config():
    """Settings of a run that takes about a second, changed by keyword."""

    def make(**values):
        return parse_config({"batch_size": 512, "model": SMALL_MODEL, "log_every_steps": 4, **values})

    return make


@pytest.fixture(scope="session")
def run_path(dataset, tmp_path_factory) -> Path:
    """A finished run of two epochs, with rates that learn something in 32 steps."""
    from ctrfast.train import train

    out = tmp_path_factory.mktemp("runs") / "first"
    rates = {"lr_dense": 0.02, "lr_embed": 0.02}
    train(dataset, parse_config({"batch_size": 256, "epochs": 2, "model": SMALL_MODEL, "optimizer": rates}), out)
    return out


@pytest.fixture(scope="session")
def bundle_path(run_path, tmp_path_factory) -> Path:
    """The run as a bundle."""
    from ctrfast.export import export_bundle

    out = tmp_path_factory.mktemp("bundles") / "first"
    export_bundle(run_path, out)
    return out


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory) -> Dataset:
    """One number and two ids that tell something of the label: 2,700 train, 900 valid, 900 test rows."""
    return tiny_clicks.make_dataset(tmp_path_factory.mktemp("tiny"), tiny_clicks.learnable(4500))


@pytest.fixture(scope="session")
def watched_run(tiny_dataset, tmp_path_factory) -> Path:
    """A finished run with all that depends on validation figures; it lowers its rates, then ends early."""
    from ctrfast.train import train

    out = tmp_path_factory.mktemp("runs") / "watched"
    train(tiny_dataset, tiny_clicks.watched_settings(), out)
    return out
