"""`ctrfast copy`: artefacts to an object store, and from one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ctrfast.console import console
from ctrfast.errors import ArtifactError, ConfigError
from ctrfast.store.address import Address, is_stored
from ctrfast.store.artefacts import copy_to, find, publish


def copy(
    source: Annotated[str, typer.Argument(help="Dataset, run or bundle: a folder, or s3://...")],
    out: Annotated[str, typer.Argument(help="Where to write it; the other of the two.")],
) -> None:
    """Copy a whole dataset, run or bundle to an object store, or from one; each file is compared with its hash."""
    if is_stored(source) == is_stored(out):
        raise ConfigError("`copy` goes from a folder to s3://... or back. Correct one of the two.", path="out")
    if is_stored(out):
        publish(Path(source), Address.parse(out, "out"))
    else:
        stored = find(Address.parse(source, "source"))
        if stored is None:
            raise ArtifactError(f"There is no artefact at {source}. Correct the address.")
        copy_to(stored, Path(out))
    console.print(f"copied: {out}")
