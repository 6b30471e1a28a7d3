"""A report without anything to warn of, made by hand; any figure of it can be changed by keyword."""

from ctrfast.data.manifest import TimelinePoint
from ctrfast.data.report.contents import (
    DataReport,
    IdFieldReport,
    LargestField,
    NumericFieldReport,
    RateSlice,
    Repeats,
)

SPLITS = ("train", "valid", "test")
ROWS = {"train": 100_000, "valid": 10_000, "test": 10_000}


def by_split(share):
    return dict.fromkeys(SPLITS, share)


def id_field(name, values=1000, **changes):
    rows = values + 2
    figures = {
        "name": name,
        "values": values,
        "table_rows": rows,
        "table_bytes": rows * 44,
        "training_bytes": rows * 132,
        "top_value": "a",
        "top_share": 0.1,
        "top10_share": 0.4,
        "top100_share": 0.8,
        "missing_share": by_split(0.0),
        "unseen_share": {"train": 0.0, "valid": 0.01, "test": 0.01},
        "unseen_expected": 0.01,
        "label_auc": 0.6,
        "psi": {"valid": 0.01, "test": 0.02},
        "psi_chance": {"valid": 0.02, "test": 0.02},
        "frequencies": ((1, 10_000), (10, 900), (values, 1)),
    }
    return IdFieldReport(**{**figures, **changes})


def numeric_field(name, **changes):
    figures = {
        "name": name,
        "transform": "identity",
        "mean": 1.5,
        "std": 2.0,
        "constant": False,
        "missing_share": by_split(0.1),
        "label_auc": 0.55,
        "psi": {"valid": 0.01, "test": 0.02},
        "psi_chance": {"valid": 0.02, "test": 0.02},
    }
    return NumericFieldReport(**{**figures, **changes})


def make_report(*, id_fields=None, numeric_fields=None, **changes):
    fields = (id_field("a"), id_field("b")) if id_fields is None else tuple(id_fields)
    rows = sum(field.table_rows for field in fields)
    largest = sorted(fields, key=lambda field: -field.table_rows)[:10]
    figures = {
        "dataset_hash": "0" * 64,
        "schema_name": "calm",
        "rows": ROWS,
        "label_rate": by_split(0.25),
        "rejected": {},
        "label_slices": {
            split: tuple(RateSlice(first_row=at * rows // 4, rows=rows // 4, positives=rows // 16) for at in range(4))
            for split, rows in ROWS.items()
        },
        "timeline": (),
        "id_fields": fields,
        "numeric_fields": (numeric_field("n"),) if numeric_fields is None else tuple(numeric_fields),
        "table_rows": rows,
        "embedding_dim": 10,
        "table_bytes": rows * 44,
        "training_bytes": rows * 132,
        "dataset_bytes": 12_345,
        "largest_fields": tuple(
            LargestField(name=of.name, rows=of.table_rows, bytes=of.table_bytes, share=of.table_rows / rows)
            for of in largest
        ),
        "repeated": {split: Repeats(checked=10_000, rows=1, share=1e-4, capped=False) for split in ("valid", "test")},
    }
    return DataReport(**{**figures, **changes})


TIMELINE = tuple(
    TimelinePoint(start=f"2014-10-{day}T00:00", rows=100 * day, positives=10 * day) for day in range(21, 29)
)
