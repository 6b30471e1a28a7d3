"""Preparation by FuxiCTR's own feature processor, as its users set it up: their transform, and a list of columns.

It takes a file with a header per split; they are cut from the raw file first. Values are counted in the training file
alone. Missing ids get its out-of-vocabulary id, missing numbers are 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from fuxictr.preprocess import FeatureProcessor, build_dataset

from bench.peers.text_splits import cut
from bench.prepare_work import COLUMNS, IDS, LABEL, MIN_COUNT, NUMBERS, SEPARATOR, arguments


class Processor(FeatureProcessor):
    """FuxiCTR's, with the transform of the numbers."""

    def read_data(self, data_path: str, sep: str, **_: Any) -> pl.LazyFrame:
        """FuxiCTR's own line, whose argument `dtypes` polars 2 calls `schema_overrides`."""
        return pl.scan_csv(data_path, separator=sep, schema_overrides=self.dtype_dict, low_memory=False)

    def log_squared(self, name: str) -> pl.Expr:
        """For `preprocess` in the list of columns; an expression, not a function per cell as in FuxiCTR's examples."""
        x = pl.col(name)
        return pl.when(x > 2).then(x.log() ** 2).otherwise(x)


def prepare(raw: Path, out: Path) -> None:
    texts = out / "texts"
    texts.mkdir()
    files = cut(raw, texts, header=SEPARATOR.join(COLUMNS) + "\n")
    numbers = {"name": list(NUMBERS), "dtype": "float", "type": "numeric", "preprocess": "log_squared"}
    ids = {"name": list(IDS), "dtype": "str", "type": "categorical"}
    processor = Processor(
        feature_cols=[{"active": True, **columns} for columns in (numbers, ids)],
        label_col={"name": LABEL, "dtype": "float"},
        dataset_id="clicks",
        data_root=str(out),
    )
    train, valid, test = (str(files[split]) for split in ("train", "valid", "test"))
    build_dataset(processor, train, valid, test, min_categr_count=MIN_COUNT, sep=SEPARATOR)


if __name__ == "__main__":
    prepare(*arguments())
