"""Clicks with lists: an item, the history of a user's items in the item's own table, and tags that are summed."""

import json
from pathlib import Path

import numpy as np

from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.fitted_schema import FittedSchema, Statistics
from ctrfast.schema import IdField, NumericField, Schema

SCHEMA = Schema(
    name="lists",
    columns=("label", "n", "history", "item", "tags"),
    label="label",
    numeric_fields=(NumericField(name="n"),),
    id_fields=(
        IdField(name="history", separator="|", max_values=3, share="item"),
        IdField(name="item", min_count=2, unseen_buckets=3),
        IdField(name="tags", separator=", ", max_values=4, pooling="sum"),
    ),
)


def fitted(items=40, tags=10):
    """The schema with vocabularies of these sizes."""
    return FittedSchema(
        schema=SCHEMA,
        statistics={"n": Statistics(mean=0.0, std=1.0)},
        vocabulary_sizes={"item": items, "tags": tags},
        vocabulary_hash="",
    )


def learnable(rows: int, seed: int = 1):
    """Rows of the schema, whose labels each field tells something of."""
    rng = np.random.default_rng(seed)
    of_item, of_tag = rng.normal(size=30), rng.normal(size=8)
    found = []
    for _ in range(rows):
        history = rng.integers(0, 30, rng.integers(0, 6))
        item, tags, number = rng.integers(0, 30), rng.integers(0, 8, rng.integers(0, 5)), rng.normal()
        logit = of_item[item] + of_item[history[:3]].sum() / 2 + of_tag[tags].sum() - 0.5
        label = int(rng.random() < 1 / (1 + np.exp(-logit)))
        texts = "|".join(f"item-{i}" for i in history), f"item-{item}", ", ".join(f"t{i}" for i in tags)
        found.append((str(label), f"{number:.3f}", *texts))
    return found


def write_clicks(path: Path, rows) -> Path:
    """Rows in the schema's raw format."""
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def make_dataset(folder: Path, rows, name: str = "dataset", **settings) -> Dataset:
    """The rows as a dataset, in their order: training, validation, test."""
    raw = write_clicks(folder / f"{name}.tsv", rows)
    fractions = {"valid_fraction": 0.2, "test_fraction": 0.2}
    prepare([raw], SCHEMA, folder / name, split="sequential", **fractions, **settings)
    return Dataset.open(folder / name)


def as_json(rows):
    """The rows without their labels, lists as lists."""
    named = [dict(zip(SCHEMA.columns, row, strict=True)) for row in rows]
    for row in named:
        row.pop("label")
        row |= {"history": row["history"].split("|"), "tags": row["tags"].split(", ")}
    return json.loads(json.dumps(named))
