"""The schema of a train spec says what the config says."""

from __future__ import annotations

import jsonschema
import pytest

from ctrfast.config import MODEL_NAMES, RULE_NAMES, ModelConfig, OptimizerConfig, TrainConfig
from service.spec_schemas import train_schema
from service.specs import TrainSpec
from tests.dashboard.conftest import Guarded


def test_it_holds_every_setting_and_what_it_means() -> None:
    schema = train_schema()
    own = set(TrainSpec.model_fields) - {"config"}
    assert set(schema["properties"]) == own | set(TrainConfig.model_fields)
    for model in (ModelConfig, OptimizerConfig):
        described = schema["$defs"][model.__name__]["properties"]
        assert [name for name, part in described.items() if name != "name" and not part.get("description")] == []
    assert schema["$defs"]["OptimizerConfig"]["properties"]["l2"]["description"].startswith("lambda of the penalty")
    learning_rate = schema["$defs"]["OptimizerConfig"]["properties"]["lr_embed"]["description"]
    assert learning_rate == "learning rates of the dense weights and of the embedding table."
    assert schema["$defs"]["ModelConfig"]["properties"]["name"]["enum"] == list(MODEL_NAMES)
    assert schema["$defs"]["ScalingConfig"]["properties"]["rule"]["enum"] == list(RULE_NAMES)


@pytest.mark.parametrize(
    ("spec", "is_valid"),
    [
        ({"dataset": "d"}, True),
        ({"dataset": "d", "batch_size": 64, "model": {"name": "dcn", "hidden": [8]}, "gates": {"force": True}}, True),
        ({"batch_size": 64}, False),
        ({"dataset": "d", "batch_size": 0}, False),
        ({"dataset": "d", "model": {"name": "none"}}, False),
        ({"dataset": "d", "config": {}}, False),
        ({"dataset": "d", "optimizer": {"lr": 1}}, False),
    ],
)
def test_it_is_a_schema(spec: dict[str, object], is_valid: bool) -> None:
    assert jsonschema.Draft202012Validator(train_schema()).is_valid(spec) is is_valid


def test_it_is_a_route(guarded: Guarded) -> None:
    answer = guarded.api.client.get("/v1/plans/schema", headers={"X-API-Key": guarded.reader})
    assert answer.json() == train_schema()
