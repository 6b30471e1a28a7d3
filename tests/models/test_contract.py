"""What holds for every network, variant, tower and head.

A run that was broken off goes on as if nothing had happened; a bundle answers over HTTP with the training graph's
scores. Of `ALIKE_ON_REPLICAS`, two replicas take the steps of one. Logits, gradients and counts of weights:
test_models.py, test_towers.py, test_task_heads.py; multiply-adds: test_network_sizes.py.
"""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

from ctrfast.bundle import Bundle
from ctrfast.export import export_bundle
from ctrfast.model_config import MODEL_NAMES, MODEL_VARIANTS
from ctrfast.task_config import TASK_SETTINGS
from ctrfast.tower_config import TOWER_SETTINGS
from ctrfast.train import train
from tests import tiny_clicks
from tests.models.contract_cases import (
    ALIKE_ON_REPLICAS,
    CASES,
    COLUMNS,
    STEPS,
    config_of,
    labels_of,
    make_dataset,
    rows_of,
)
from tests.service.conftest import Api, publish, quick_settings


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """By labels."""
    return {labels: make_dataset(tmp_path_factory.mktemp("data"), labels) for labels in (("click",), ("click", "buy"))}


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    api = Api(quick_settings(tmp_path_factory.mktemp("home") / "home"))
    yield api
    api.close()


@pytest.fixture(scope="module", params=CASES)
def finished(request, datasets, tmp_path_factory):
    """A case and its run, trained without a break."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(datasets[labels_of(request.param)], config_of(request.param), out)
    return request.param, out


@pytest.fixture(scope="module")
def on_replicas(datasets, tmp_path_factory):
    """What the program found, by case and name."""
    out = tmp_path_factory.mktemp("replicas")
    program = [sys.executable, "-m", "tests.models.contract_replicas_program", out]
    data = [dataset.path for dataset in datasets.values()]
    result = subprocess.run([*program, *data], capture_output=True, text=True, timeout=800)
    assert result.returncode == 0, result.stderr
    return {path.stem: dict(np.load(path)) for path in out.glob("*.npz")}


def test_every_network_variant_tower_and_head_is_a_case():
    models = [config_of(case).model for case in CASES]
    assert {model.name for model in models} == set(MODEL_NAMES)
    for name, (_, *variants) in MODEL_VARIANTS.items():
        assert {model.variant for model in models if model.name == name} == {None, *variants}
    assert {model.tower.name for model in models} == set(TOWER_SETTINGS)
    assert {model.tasks.kind for model in models if model.tasks} == set(TASK_SETTINGS)


def test_a_run_goes_on_from_its_middle_to_the_same_end(finished, datasets, tmp_path):
    (case, whole), run = finished, tmp_path / "run"
    shutil.copytree(whole, run, ignore=shutil.ignore_patterns("receipt.json", f"step-*{STEPS}"))
    (checkpoint,) = (run / "checkpoints").iterdir()
    assert checkpoint.name.endswith(f"0{STEPS // 2}")
    train(datasets[labels_of(case)], config_of(case), run, resume=True)
    tiny_clicks.same_run(whole, run)


def test_the_bundle_answers_over_http_with_the_training_graphs_scores(finished, api, tmp_path):
    case, run = finished
    export_bundle(run, tmp_path / "bundle")
    publish(api, tmp_path / "bundle", case)
    _, _, expected = Bundle.open(tmp_path / "bundle").golden()
    rows = [{name: row[name] for name in COLUMNS} for row in rows_of(labels_of(case))[-len(expected) :]]
    answer = api.client.post(f"/v1/models/{case}:predict", json={"instances": rows}).json()
    np.testing.assert_allclose(answer["predictions"], expected, rtol=0, atol=1e-5)
    assert len(expected) == 64
    assert expected.std(axis=0).min() > 0.02


@pytest.mark.parametrize("finished", ALIKE_ON_REPLICAS, indirect=True)
def test_two_replicas_take_the_steps_of_one_that_goes_in_halves(finished, on_replicas):
    """In halves, since the balance of a mixture is that of the rows of a pass."""
    case, whole = finished
    (path,) = (whole / "checkpoints").glob(f"step-*0{STEPS // 2}/state.safetensors")
    one, two = (
        {name: value for name, value in state.items() if not name.startswith("window.")}
        for state in (load_file(path), on_replicas[case])
    )
    assert set(one) == set(two) >= {"table", "dense.00"}
    for name, value in two.items():
        np.testing.assert_allclose(value, one[name], rtol=1e-4, atol=2e-5, err_msg=name)
