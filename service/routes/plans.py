"""Plans: what a train job's settings come to, before it is submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body

from ctrfast.data.encode import SCHEMA_FILE
from ctrfast.errors import ArtifactError, ConfigError, unknown_name
from ctrfast.memory import estimate
from ctrfast.optim.scaling import make_plan
from ctrfast.schema import PRESETS, FittedSchema
from service.answers import Finding, MemoryPublic, PlanPublic
from service.dependencies import DatasetsDep, problems
from service.fingerprints import fingerprint
from service.json_bodies import JsonRoute
from service.specs import parse_plan_request
from service.submissions import refuse_batch_above_rows, unknown_entry

router = APIRouter(prefix="/v1/plans", tags=["plans"], route_class=JsonRoute)

PlanBody = Annotated[
    dict[str, Any],
    Body(
        examples=[{"preset": "criteo", "batch_size": 131072, "scaling": {"rule": "cowclip", "base_batch_size": 1024}}]
    ),
]


@router.post("", responses=problems(400, 422))
def make_a_plan(request: PlanBody, datasets: DatasetsDep) -> PlanPublic:
    """Resolve a train spec's settings, each with its reason. `preset` stands in for a dataset."""
    fingerprint("plan", request)  # refuses what no answer could repeat
    asked = parse_plan_request(request)
    if asked.dataset is None:
        if asked.preset not in PRESETS:
            raise unknown_name("preset", asked.preset, PRESETS, path="preset")
        return PlanPublic(plan=make_plan(asked.config, asked.preset), config=asked.config.model_dump(mode="json"))
    row = datasets.find(asked.dataset)
    if row is None:
        raise unknown_entry("dataset", asked.dataset, datasets.names(), "dataset")
    findings = []
    try:
        refuse_batch_above_rows(asked.config.batch_size, row, "batch_size")
    except ConfigError as error:
        findings.append(Finding(level="error", message=error.message, path="batch_size"))
    memory = None
    try:
        fitted = FittedSchema.from_file(Path(row.path) / SCHEMA_FILE)
        needs = estimate(fitted, asked.config, train_rows=int(row.rows["train"]))
        memory = MemoryPublic.of(needs, row_width=asked.config.model.embedding_dim + 1)
    except ArtifactError as error:
        findings.append(Finding(level="error", message=error.message, path="dataset"))
    return PlanPublic(
        plan=make_plan(asked.config, row.preset),
        config=asked.config.model_dump(mode="json"),
        steps_per_epoch=int(row.rows["train"]) // asked.config.batch_size,
        memory=memory,
        findings=findings,
    )
