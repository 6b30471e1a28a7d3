"""A dataset of clicks and purchases, and a model: what is bought is known of clicks alone."""

import numpy as np

from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.schema import IdField, NumericField, Schema
from tests import tiny_clicks

SCHEMA = Schema(
    name="shop",
    columns=("click", "buy", "n", "a", "b"),
    label=("click", "buy"),
    numeric_fields=(NumericField(name="n"),),
    id_fields=(IdField(name="a"), IdField(name="b")),
)


def learnable(rows, seed=1):
    """Clicks, purchases ("" where there is no click), numbers and ids, of which each tells something of both."""
    rng = np.random.default_rng(seed)
    a, b, numbers = rng.integers(0, 60, rows), rng.integers(0, 12, rows), rng.normal(size=rows)
    logits = rng.normal(size=60)[a] + rng.normal(size=12)[b] + 0.5 * numbers
    clicks = rng.random(rows) < 1 / (1 + np.exp(-logits))
    of_buying = 1.5 * rng.normal(size=60)[a] + rng.normal(size=12)[b] - numbers
    bought = rng.random(rows) < 1 / (1 + np.exp(-of_buying))
    return (
        clicks.astype(int),
        [str(int(buy)) if click else "" for click, buy in zip(clicks, bought, strict=True)],
        (
            numbers,
            a,
            b,
        ),
    )


def write_raw(path, clicks, bought, fields):
    """Rows in the schema's raw format."""
    rows = zip(clicks, bought, *fields, strict=True)
    path.write_text("".join(f"{click}\t{buy}\t{n:.3f}\ta{a}\tb{b}\n" for click, buy, n, a, b in rows))
    return path


def make_dataset(folder, rows=4200, schema=SCHEMA, **settings):
    """The rows as a dataset, in their order: training, validation, test."""
    raw = write_raw(folder / "clicks.tsv", *learnable(rows))
    fractions = {"valid_fraction": 0.2, "test_fraction": 0.2, **settings}
    prepare([raw], schema, folder / "dataset", split="sequential", **fractions)
    return Dataset.open(folder / "dataset")


def make_bundle(folder):
    """A small network of both labels, trained for an epoch."""
    from ctrfast.export import export_bundle
    from ctrfast.train import train

    model = {"embedding_dim": 4, "hidden": [8], "tasks": {"kind": "mmoe", "experts": 2, "hidden": [4]}}
    train(make_dataset(folder, rows=1500), tiny_clicks.settings(model=model, epochs=1), folder / "run")
    export_bundle(folder / "run", folder / "bundle")
    return folder / "bundle"
