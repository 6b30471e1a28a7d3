"""Options that several commands of the command line have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Preset = Annotated[str | None, typer.Option(help="Columns of a public data set: criteo, criteo_1tb or avazu.")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
ConfigFile = Annotated[Path | None, typer.Option(help="Settings as YAML.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="One setting (optimizer.l2=1e-5); wins."),
]
BatchSize = Annotated[int | None, typer.Option(help="Rows per optimizer step (default 1024).")]
BaseBatchSize = Annotated[int | None, typer.Option(help="Batch size at which the optimizer's values were tuned.")]
Split = Annotated[str, typer.Option(help="Which split of a dataset: train, valid or test.")]
