"""The schema of a spec says what the config and the spec classes say."""

from __future__ import annotations

import jsonschema
import pytest
from pydantic import BaseModel

from ctrfast.config import RULE_NAMES, OptimizerConfig, TrainConfig
from ctrfast.model_config import MODEL_NAMES, ModelConfig
from service.spec_schemas import job_schema
from service.specs import EvaluateSpec, PrepareSpec, ScoreSpec, TrainSpec
from service.states import Kind
from service.sweep_specs import SweepSpec
from tests.dashboard.conftest import Guarded
from tests.service.test_api_jobs import problem


def test_it_holds_every_setting_and_what_it_means() -> None:
    schema = job_schema(Kind.TRAIN)
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
    assert jsonschema.Draft202012Validator(job_schema(Kind.TRAIN)).is_valid(spec) is is_valid


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        (Kind.PREPARE, PrepareSpec),
        (Kind.EVALUATE, EvaluateSpec),
        (Kind.SCORE, ScoreSpec),
        (Kind.SWEEP, SweepSpec),
    ],
)
def test_every_setting_of_every_kind_is_described(kind: Kind, model: type[BaseModel]) -> None:
    properties = job_schema(kind)["properties"]
    assert set(properties) == {field.alias or name for name, field in model.model_fields.items()}
    assert [name for name, part in properties.items() if not part.get("description")] == []


@pytest.mark.parametrize(
    ("kind", "spec", "is_valid"),
    [
        (Kind.PREPARE, {"name": "d", "raw": ["a.tsv"], "preset": "criteo", "max_bad_rows": "1%"}, True),
        (Kind.PREPARE, {"name": "d", "raw": ["a.tsv"], "preset": None}, True),
        (Kind.PREPARE, {"name": "d", "raw": ["a.tsv"], "preset": "other"}, False),
        (Kind.PREPARE, {"name": "d", "raw": []}, False),
        (Kind.EVALUATE, {"dataset": "d", "model": "ctr", "version": 1, "split": "valid"}, True),
        (Kind.EVALUATE, {"dataset": "d", "split": "other"}, False),
        (Kind.SCORE, {"model": "ctr", "inputs": ["a.tsv"]}, True),
        (Kind.SCORE, {"inputs": ["a.tsv"]}, False),
        (Kind.SWEEP, {"base": {"dataset": "d", "model": {"name": "dcn"}}, "grid": {"seed": [1, 2]}}, True),
        (Kind.SWEEP, {"base": {"dataset": "d"}, "grid": {"optimizer.l2": {"low": 1e-6, "high": 1e-3}}}, True),
        (Kind.SWEEP, {"base": {"dataset": "d", "publish_as": "ctr"}, "grid": {"seed": [1]}}, False),
        (Kind.SWEEP, {"base": {"dataset": "d", "model": {"name": "none"}}, "grid": {"seed": [1]}}, False),
        (Kind.SWEEP, {"base": {"dataset": "d"}, "grid": {}}, False),
    ],
)
def test_the_schemas_of_the_other_kinds(kind: Kind, spec: dict[str, object], is_valid: bool) -> None:
    assert jsonschema.Draft202012Validator(job_schema(kind)).is_valid(spec) is is_valid


def test_it_is_a_route(guarded: Guarded) -> None:
    headers = {"X-API-Key": guarded.reader}
    assert guarded.api.client.get("/v1/plans/schema", headers=headers).json() == job_schema(Kind.TRAIN)
    for kind in Kind:
        answer = guarded.api.client.get("/v1/plans/schema", params={"kind": kind}, headers=headers)
        assert answer.json() == job_schema(kind)
    problem(guarded.api.client.get("/v1/plans/schema?kind=other", headers=headers), 422, "bad_request", "kind")
