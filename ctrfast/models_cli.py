"""`ctrfast models`: the networks that there are, and what each costs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from ctrfast.architectures import architectures
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
    """List the networks: one line, weights outside the table and FLOPs per impression of each."""
    schema, whose = _schema(data, preset_name)
    fields = len(schema.id_fields), len(schema.numeric_fields)
    found = architectures(*fields, embedding_dim)
    if as_json:
        console.print_json(data=[asdict(each) for each in found])
        return
    title = f"{whose}: {fields[0]} id fields, {fields[1]} numbers, embedding_dim {embedding_dim}"
    table = Table(title=title, title_justify="left")
    table.add_column("network")
    table.add_column("what")
    table.add_column("weights", justify="right")
    table.add_column("MFLOP", justify="right")
    table.add_column("settings of its own")
    for each in found:
        own = ", ".join(f"variant={'|'.join(each.variants)}" if o == "variant" else o for o in each.options)
        table.add_row(each.name, each.summary, f"{each.parameters:,}", f"{each.flops / 1e6:.3f}", own or "-")
    console.print(table)


def _schema(data: str | None, preset_name: str) -> tuple[Schema, str]:
    if data is not None:
        from ctrfast.data.shards import Dataset

        return Dataset.open(folder_of(data, "data"), verify=False).fitted.schema_, data
    if preset_name not in PRESETS:
        raise unknown_name("preset", preset_name, PRESETS, path="preset")
    return preset(preset_name), f"preset {preset_name}"
