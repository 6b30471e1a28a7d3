"""The form of a data report: what `ctrfast inspect --json` prints and `GET /v1/datasets/{name}/report` answers.

Frozen, and a pure function of the dataset: the same dataset gives the same bytes. Shares are of rows, from 0 to 1.
Figures by split name a split without rows too: shares and rates are 0 there, PSI is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from ctrfast.data.manifest import TimelinePoint

if TYPE_CHECKING:  # pandas takes a second to load
    import pandas as pd

FORMAT: Literal[1] = 1  # another one where a reader of this one would misread it; kept reports are keyed by it


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RateSlice(_Frozen):
    """Neighbouring rows of a split, in the order of its shards. first_row: from 0."""

    first_row: int
    rows: int
    positives: int


class FieldReport(_Frozen):
    """Any field.

    missing_share: per split. label_auc: AUC of this field alone on the training split, None where a class is missing
    (`leakage`). psi: train -> split; psi_chance: what chance alone stays below 999 times in 1,000 (`drift`).
    """

    name: str
    missing_share: dict[str, float]
    label_auc: float | None
    psi: dict[str, float]
    psi_chance: dict[str, float]


class IdFieldReport(FieldReport):
    """An id field.

    values: kept ones; of hash buckets and shared tables, those of the first million that have training rows.
    table_rows: with the unseen and the missing id; 0 for a field that shares another's. table_bytes: float32 weights,
    D + 1 a row. training_bytes: with Adam's two moments. top_value, top_share: the most frequent one, of all training
    rows; top10_share, top100_share: the ten and hundred most frequent together.
    unseen_share: per split; includes values rarer than `min_count`.
    unseen_expected: share of unseen rows in new rows that are drawn as the training rows were (Good-Turing).
    Of a field of lists all figures are of values instead of rows.
    frequencies: (rank, occurrences) of kept values, from the most frequent one on, at log-spaced ranks.
    """

    values: int
    table_rows: int
    table_bytes: int
    training_bytes: int
    top_value: str | None
    top_share: float
    top10_share: float
    top100_share: float
    unseen_share: dict[str, float]
    unseen_expected: float
    frequencies: tuple[tuple[int, int], ...]


class NumericFieldReport(FieldReport):
    """A numeric field.

    mean, std: of the training split, after the transform and before scaling. constant: no two training values differ.
    """

    transform: str
    mean: float
    std: float
    constant: bool


class LargestField(_Frozen):
    """A field of the embedding table. bytes: float32 weights. share: of the whole table."""

    name: str
    rows: int
    bytes: int
    share: float


class Repeats(_Frozen):
    """Rows of a split that also occur in the training split: same label, same inputs after encoding.

    checked: rows that were looked up; fewer than the split has where `capped`. rows: those found.
    """

    checked: int
    rows: int
    share: float
    capped: bool


class DataWarning(_Frozen):
    """What somebody should look at before training.

    code: stable, of `ctrfast.data.report.warnings`. field: None where the whole dataset is meant. figure: as measured.
    """

    code: str
    field: str | None
    what: str
    figure: float
    remedy: str


class DataReport(_Frozen):
    """A dataset. table_bytes: of the fused embedding table with its linear weights, at `embedding_dim`.

    training_bytes: with Adam's two moments. rejected: raw rows that could not be used, by reason.
    label_rates: per split and label, where there are several; all else is of the first.
    label_slices: per split, up to 50 equal slices in row order. timeline: rows by time, where the dataset knows it.
    negative_rate: share of the training rows without a click that were kept; the timeline counts all of them.
    repeated: per split other than train. largest_fields: at most ten, by their rows in the table.
    """

    format: Literal[1] = FORMAT
    dataset_hash: str
    schema_name: str
    rows: dict[str, int]
    label_rate: dict[str, float]
    rejected: dict[str, int]
    label_slices: dict[str, tuple[RateSlice, ...]]
    timeline: tuple[TimelinePoint, ...]
    id_fields: tuple[IdFieldReport, ...]
    numeric_fields: tuple[NumericFieldReport, ...]
    table_rows: int
    embedding_dim: int
    table_bytes: int
    training_bytes: int
    dataset_bytes: int
    largest_fields: tuple[LargestField, ...]
    repeated: dict[str, Repeats]
    negative_rate: float = 1.0
    label_rates: dict[str, dict[str, float]] = Field(default_factory=dict)
    warnings: tuple[DataWarning, ...] = ()

    def frame(self) -> pd.DataFrame:
        """A row per field, numbers first; `missing` is the training split's. What ids alone have is NaN for numbers."""
        import pandas as pd

        later = [split for split in ("valid", "test") if self.rows[split]]
        rows = []
        for field in (*self.numeric_fields, *self.id_fields):
            row: dict[str, object] = {"field": field.name, "kind": "number", "missing": field.missing_share["train"]}
            if isinstance(field, IdFieldReport):
                row |= {"kind": "id", "values": field.values, "table_rows": field.table_rows}
                row |= {f"unseen_{split}": field.unseen_share[split] for split in ("train", *later)}
            row["label_auc"] = field.label_auc
            row |= {f"psi_{split}": field.psi[split] for split in later}
            rows.append(row)
        columns = ["field", "kind", "values", "table_rows", "missing"]
        columns += [f"unseen_{split}" for split in ("train", *later)]
        columns += ["label_auc", *(f"psi_{split}" for split in later)]
        return pd.DataFrame(rows, columns=columns).set_index("field")
