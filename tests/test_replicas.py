"""N replicas at batch B/N take the steps of one at B."""

import subprocess
import sys

import numpy as np
import pytest

from ctrfast.config import parse_config
from ctrfast.errors import ConfigError
from ctrfast.run import Run
from ctrfast.run_network import open_network


def test_two_replicas_take_the_steps_of_one(dataset, tmp_path):
    """A whole run; other networks' steps are compared in models/test_contract.py."""
    program = [sys.executable, "-m", "tests.replicas_program", dataset.path, tmp_path]
    result = subprocess.run(program, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr
    one, two = (Run.open(tmp_path / name) for name in ("one", "two"))
    weights = [open_network(run).weights() for run in (one, two)]
    for name, value in weights[0].items():
        np.testing.assert_allclose(weights[1][name], value, rtol=0, atol=2e-6, err_msg=name)
    assert one.receipt.steps == two.receipt.steps > 20
    assert two.metrics["test_auc"] == pytest.approx(one.metrics["test_auc"], abs=1e-4)
    assert two.metrics["clipped_share"] == pytest.approx(one.metrics["clipped_share"], abs=1e-3)
    refused = "replicas `replicas` must be at most this machine's 2 CPU devices. Got replicas=3."
    assert result.stdout.startswith(refused)
    assert not (tmp_path / "none").exists()


@pytest.fixture(scope="module")
def row_sums(tiny_dataset, tmp_path_factory):
    """State and figures by update and form, of three replicas and of one."""
    out = tmp_path_factory.mktemp("row-sums")
    program = [sys.executable, "-m", "tests.row_sums_program", tiny_dataset.path, out]
    result = subprocess.run(program, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr
    return {path.stem: dict(np.load(path)) for path in out.glob("*.npz")}


@pytest.mark.parametrize("update", ["dense", "sparse"])
@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_both_forms_of_row_sums_take_the_steps_of_one(row_sums, update, form):
    one, three = (row_sums[f"{update}-{name}"] for name in ("one", form))
    assert one.keys() == three.keys() >= {"table", "table.first", "table.second", "figures"}
    for name, value in one.items():
        np.testing.assert_allclose(three[name], value, rtol=0, atol=2e-6, err_msg=name)
    figures = one["figures"]  # per step: loss, rows present by table, rows clipped by table
    assert 0 < figures[:, 3:].sum() < figures[:, 1:3].sum()


def test_the_updates_of_the_forms_differ(row_sums):
    assert np.abs(row_sums["sparse-sparse"]["table"] - row_sums["dense-sparse"]["table"]).max() > 1e-5


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ConfigError, match=r"`replicas` must divide batch_size=100\. Got replicas=3"):
        parse_config({"batch_size": 100, "replicas": 3})
