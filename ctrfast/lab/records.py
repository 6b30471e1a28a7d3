"""The records of a run folder, and how many steps its epochs have."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ctrfast.errors import ArtifactError
from ctrfast.run import RECORDS

Record = Mapping[str, Any]


def read_records(folder: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`; the last one of a run at work may be half written and is left out.

    Raises:
        ArtifactError: the file is missing or holds something else.
    """
    file = folder / RECORDS
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except (OSError, ValueError) as error:
        raise ArtifactError(f"The records {file} cannot be read. Train the run again.") from error


def steps_per_epoch(records: Sequence[Record], *, ended_by: str | None) -> int | None:
    """The step of the first epoch's last record; `None` where that epoch may have been broken off.

    Args:
        records: of a run.
        ended_by: as in its receipt; `None` for a run without.
    """
    trained = [record for record in records if record["kind"] == "train"]
    first = [record["step"] for record in trained if record["epoch"] == 0]
    is_whole = ended_by == "epochs" or any(record["epoch"] > 0 for record in trained)
    return max(first) if first and is_whole else None
