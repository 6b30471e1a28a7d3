"""The networks that a train job can name, and what each costs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ctrfast.architectures import EmbeddingTable, architectures
from ctrfast.schema import Schema, preset
from service.dependencies import DatasetsDep, problems
from service.json_bodies import JsonRoute
from service.seals import described
from service.submissions import unknown_entry

router = APIRouter(prefix="/v1/architectures", tags=["plans"], route_class=JsonRoute)


class ArchitecturePublic(BaseModel):
    """A network, in its default form."""

    name: str = Field(description="What `spec.model.name` takes.")
    summary: str
    options: list[str] = Field(description="Settings of its own, under `spec.model`.")
    variants: list[str] = Field(description="Values of `variant`, the first by default.")
    parameters: int = Field(description="Weights outside the embedding table.")
    flops: int = Field(description="Of one impression's forward pass: two for each multiplication of its products.")


class EmbeddingTablePublic(BaseModel):
    """The embedding table, which every network has beside its own weights."""

    rows: int = Field(description="Of all fields.")
    width: int = Field(description="An id's vector, `embedding_dim`, and its linear weight.")
    parameters: int = Field(description="Rows times width.")


class ArchitecturesPublic(BaseModel):
    """All networks by name, and the fields that they were counted for."""

    id_fields: int
    numeric_fields: int
    embedding_dim: int
    table: EmbeddingTablePublic | None = Field(description="Of the dataset; a preset has none.")
    architectures: list[ArchitecturePublic]


@router.get("", responses=problems(400, 422))
def list_architectures(
    datasets: DatasetsDep,
    dataset: Annotated[str | None, Query(description="Whose fields count.", max_length=100)] = None,
    preset_name: Annotated[str, Query(alias="preset", description="Whose fields count without one.")] = "criteo",
    embedding_dim: Annotated[int, Query(ge=1, le=1024)] = 10,
) -> ArchitecturesPublic:
    """List the networks with their weights and FLOPs per impression, for the fields of a dataset or a preset.

    Of a dataset, the size of the embedding table too.
    """
    schema, table_rows = _schema(datasets, dataset, preset_name)
    F, N = len(schema.id_fields), len(schema.numeric_fields)
    found = [
        ArchitecturePublic(
            name=each.name,
            summary=each.summary,
            options=list(each.options),
            variants=list(each.variants),
            parameters=each.parameters,
            flops=each.flops,
        )
        for each in architectures(F, N, embedding_dim)
    ]
    table = None if table_rows is None else EmbeddingTablePublic(**asdict(EmbeddingTable.of(table_rows, embedding_dim)))
    return ArchitecturesPublic(
        id_fields=F, numeric_fields=N, embedding_dim=embedding_dim, table=table, architectures=found
    )


def _schema(datasets: DatasetsDep, dataset: str | None, preset_name: str) -> tuple[Schema, int | None]:
    """Whose fields count, and rows of a dataset's table."""
    if dataset is None:
        return preset(preset_name), None
    row = datasets.find(dataset)
    if row is None:
        raise unknown_entry("dataset", dataset, datasets.names(), "dataset")
    with described(row) as (opened, _):
        return opened.fitted.schema_, opened.fitted.table_rows
