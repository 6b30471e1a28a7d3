"""Plans: what a train job's settings come to, before it is submitted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body

from ctrfast.errors import ArtifactError, DataError
from ctrfast.machine_memory import available_memory
from ctrfast.optim.scaling import make_plan
from ctrfast.preflight import preflight
from ctrfast.schema import preset
from service.answers import Finding, MemoryPublic, PlanPublic, TimePublic
from service.dependencies import DatasetsDep, problems
from service.fingerprints import fingerprint
from service.json_bodies import JsonRoute
from service.paths import without_server_paths
from service.seals import described
from service.spec_schemas import job_schema
from service.specs import parse_plan_request
from service.states import Kind
from service.submissions import unknown_entry

router = APIRouter(prefix="/v1/plans", tags=["plans"], route_class=JsonRoute)

PlanBody = Annotated[
    dict[str, Any],
    Body(
        examples=[{"preset": "criteo", "batch_size": 131072, "scaling": {"rule": "cowclip", "base_batch_size": 1024}}]
    ),
]


@router.get("/schema", responses=problems(422))
def get_schema(kind: Kind = Kind.TRAIN) -> dict[str, Any]:
    """JSON schema of a job's `spec`, with what each setting means; that of trainings is also of `POST /v1/plans`."""
    return job_schema(kind)


@router.post("", responses=problems(400, 422))
def make_a_plan(request: PlanBody, datasets: DatasetsDep) -> PlanPublic:
    """Resolve a train spec's settings, each with its reason, and examine the dataset. `preset` stands in for one."""
    fingerprint("plan", request)  # refuses what no answer could repeat
    asked = parse_plan_request(request)
    if asked.dataset is None:
        of_preset = preset(asked.preset)
        return PlanPublic(plan=make_plan(asked.config, of_preset.name), config=asked.config.model_dump(mode="json"))
    row = datasets.find(asked.dataset)
    if row is None:
        raise unknown_entry("dataset", asked.dataset, datasets.names(), "dataset")
    answer = PlanPublic(
        plan=make_plan(asked.config, row.preset),
        config=asked.config.model_dump(mode="json"),
        steps_per_epoch=int(row.rows["train"]) // asked.config.batch_size,
    )
    try:
        with described(row) as (dataset, with_files):
            checked = preflight(dataset, asked.config, available_memory(), with_files=with_files)
    except (ArtifactError, DataError) as error:
        finding = Finding(level="error", message=without_server_paths(error.message), path=error.path or "dataset")
        return answer.model_copy(update={"findings": [finding]})
    return answer.model_copy(
        update={
            "memory": MemoryPublic.of(checked.memory, row_width=asked.config.model.embedding_dim + 1),
            "time": TimePublic.of(checked.time),
            "unseen": checked.unseen,
            "findings": [
                Finding(**asdict(finding) | {"message": without_server_paths(finding.message)})
                for finding in checked.findings
            ],
        }
    )
