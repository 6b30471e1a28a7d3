"""`ctrfast models`: every network with its cost for the fields at hand."""

import json

import numpy as np

from ctrfast.architectures import SUMMARIES, architectures
from ctrfast.model_config import MODEL_OPTIONS, ModelConfig
from ctrfast.models import MODELS, build_model
from tests.command_line import called, refused


def test_every_network_is_listed_with_its_weights():
    found = {each.name: each for each in architectures(4, 2, embedding_dim=3)}
    assert set(found) == set(MODELS) == set(SUMMARIES) == set(MODEL_OPTIONS)
    network = build_model(ModelConfig(name="nfm", embedding_dim=3), id_fields=4, numeric_fields=2, seed=1)
    assert found["nfm"].parameters == sum(int(np.prod(variable.shape)) for variable in network.dense_variables)
    assert found["nfm"].flops == 2 * (2 + 15 + (3 + 2) * 400 + 2 * 400 * 400 + 400)
    assert found["pnn"].variants == ("inner", "outer")


def test_the_command_counts_a_datasets_fields_and_table(dataset):
    of_dataset = ("models", "--data", dataset.path, "--embedding-dim", 4)
    told = json.loads(called(*of_dataset, "--json").stdout)
    fields = len(dataset.fitted.schema_.id_fields), len(dataset.fitted.schema_.numeric_fields)
    assert {each["name"]: each["parameters"] for each in told["architectures"]} == {
        each.name: each.parameters for each in architectures(*fields, 4)
    }
    rows = sum(dataset.fitted.table_sizes)
    assert told["table"] == {"rows": rows, "width": 5, "parameters": 5 * rows}
    assert f"a table of {rows:,} rows x 5 = {5 * rows:,}" in " ".join(called(*of_dataset).stdout.split())


def test_a_preset_has_no_table():
    shown = called("models", "--preset", "avazu").stdout
    assert "xdeepfm" in shown and "Compressed" in shown
    assert "a table of" not in shown
    assert json.loads(called("models", "--preset", "avazu", "--json").stdout)["table"] is None


def test_an_unknown_preset_is_refused():
    assert "Did you mean criteo" in refused("models", "--preset", "critoe")
