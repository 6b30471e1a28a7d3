"""What runs recorded as they went, as one pandas frame: a row per record.

    series = curves(runs("sweeps/rules"))
    series[series["split"] == "valid"].plot(x="epoch", y="auc")

| columns | what |
| --- | --- |
| `name`, `folder`, `dataset`, `batch_size`, `seed`, `scaling.rule` ... | of the run, as in `runs` |
| `kind`, `split` | `train` records, or `evaluation` of `valid` or `test` |
| `step`, `epoch` | optimizer steps and passes over the training split done; `epoch` has fractions |
| `train_s` | seconds of training so far, with evaluations; missing in runs that are older than the record |
| `loss`, `rows_per_s`, `clipped_share` ... | of the steps since the last `train` record |
| `auc`, `log_loss` ... | of an evaluation |
| `clipped_share.C1`, `embedding_norm.C1` ... | by id table |
| `balance`, `expert_share.mixture_0.expert_2` ... | how experts were used since the last `train` record |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ctrfast.errors import DataError
from ctrfast.lab.records import Record, read_records, steps_per_epoch
from ctrfast.lab.run_frame import SETTING_NAMES, Source, runs
from ctrfast.run import RECORDS

_BY_FIELD = "_by_field"


def curves(of: pd.DataFrame | Source) -> pd.DataFrame:
    """The records of all runs that have some.

    Args:
        of: a frame that `runs` made, or what it makes one of.

    Raises:
        ArtifactError: the files of a run cannot be read.
        DataError: no run has records: none has begun, or all are on another machine.
    """
    frame = of if isinstance(of, pd.DataFrame) else runs(of)
    kept = [name for name in ("name", "folder", "dataset", *SETTING_NAMES) if name in frame]
    rows = [row for run in frame.to_dict("records") for row in _rows(run, kept)]
    if not rows:
        raise DataError("At least one run must have records here. Got none. Name folders of runs that have begun.")
    return pd.DataFrame(rows)


def _rows(run: Mapping[Any, Any], kept: list[str]) -> Iterator[dict[str, Any]]:
    folder = run.get("folder")
    if not isinstance(folder, str) or not (Path(folder) / RECORDS).is_file():
        return
    records = read_records(Path(folder))
    each = steps_per_epoch(records, ended_by=run.get("ended_by"))
    about = {name: run[name] for name in kept}
    for record in records:
        yield {**about, **_flat(record), "epoch": record["step"] / each if each else None}


def _flat(record: Record) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            flat |= {f"{name.removesuffix(_BY_FIELD)}.{field}": number for field, number in value.items()}
        else:
            flat[name] = value
    return flat
