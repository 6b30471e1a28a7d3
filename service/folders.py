"""Moving a finished folder to the place where readers look for it."""

from __future__ import annotations

import shutil
from pathlib import Path

from ctrfast.folders import sync


def put_in_place(made: Path, target: Path) -> None:
    """Rename a whole folder to `target`, on the same file system.

    What lies at `target` is left over from a publication that died before its row was written: no reader knows it, and
    the caller holds the row's lock, so it is removed.

    Raises:
        FileNotFoundError: there is no such folder; `target` is as it was.
    """
    new = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        made.stat()  # a worker that lost its database while it was asleep must not remove what another has published
        shutil.rmtree(target)
    made.replace(target)
    for folder in [target.parent, *(folder.parent for folder in new)]:  # a power cut must not take what a row names
        sync(folder)
