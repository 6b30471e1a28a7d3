"""`ctrfast models`: the networks that there are, and what each costs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from ctrfast.architectures import EmbeddingTable, architectures
from ctrfast.console import console
from ctrfast.errors import unknown_name
from ctrfast.schema import PRESETS, Schema, preset
from ctrfast.stored_folders import folder_of


def models(
    data: Annotated[str | None, typer.Option(help="Dataset folder, or s3://..., whose fields count.")] = None,
    preset_name: Annotated[str, typer.Option("--preset", help="Whose fields count without a dataset.")] = "criteo",
    embedding_dim: Annotated[int, typer.Option(min=1, max=1024, help="Width of an id's vector.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the networks: one line, weights outside the table and FLOPs per impression of each; a dataset's table."""
    schema, whose, rows = _schema(data, preset_name)
    fields = len(schema.id_fields), len(schema.numeric_fields)
    found = architectures(*fields, embedding_dim)
    table = None if rows is None else EmbeddingTable.of(rows, embedding_dim)
    if as_json:
        console.print_json(
            data={
                "id_fields": fields[0],
                "numeric_fields": fields[1],
                "embedding_dim": embedding_dim,
                "table": table and asdict(table),
                "architectures": [asdict(each) for each in found],
            }
        )
        return
    title = f"{whose}: {fields[0]} id fields, {fields[1]} numbers, embedding_dim {embedding_dim}"
    if table is not None:
        title += f"\nbeside the weights: a table of {table.rows:,} rows x {table.width} = {table.parameters:,}"
    listing = Table(title=title, title_justify="left")
    listing.add_column("network")
    listing.add_column("what")
    listing.add_column("weights", justify="right")
    listing.add_column("MFLOP", justify="right")
    listing.add_column("settings of its own")
    for each in found:
        own = ", ".join(f"variant={'|'.join(each.variants)}" if o == "variant" else o for o in each.options)
        listing.add_row(each.name, each.summary, f"{each.parameters:,}", f"{each.flops / 1e6:.3f}", own or "-")
    console.print(listing)


def _schema(data: str | None, preset_name: str) -> tuple[Schema, str, int | None]:
    """Whose fields count, the name that the title has, and rows of a dataset's table."""
    if data is not None:
        from ctrfast.data.shards import Dataset

        fitted = Dataset.open(folder_of(data, "data"), verify=False).fitted
        return fitted.schema_, data, fitted.table_rows
    if preset_name not in PRESETS:
        raise unknown_name("preset", preset_name, PRESETS, path="preset")
    return preset(preset_name), f"preset {preset_name}", None
