"""The workload's rows on disk: as a ctrfast dataset, and as plain arrays for systems that train from memory.

    data = make_clicks(Path("build/bench"), rows=2_097_152, ids=TABLE_ROWS)
    Dataset.open(data / "dataset"), Rows.read(data)

A folder is made once per (rows, ids, seed) and kept. Run as a program it makes one:

    python -m bench.clicks build/bench 262144 34000000
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.workload import NUMBERS, SEED, Rows, draw_rows, field_sizes, write_arrays
from ctrfast.data.encode import Encoded, Encoder
from ctrfast.data.shards import DatasetWriter
from ctrfast.data.vocabulary import Vocabulary, hash_vocabularies
from ctrfast.folders import new_folder
from ctrfast.schema import FIRST_ID, PRESETS, SPLITS, FittedSchema, Statistics

ROWS = 2_097_152  # 16 batches of the largest size
_BLOCK = 262_144  # rows drawn at a time


def make_clicks(root: Path, rows: int, ids: int) -> Path:
    """The folder with `rows` training rows over `ids` ids, made where it is not there yet."""
    out = root / f"clicks-{rows}-{ids}-{SEED}"
    if out.is_dir():
        return out
    sizes = field_sizes(ids)
    rng = np.random.default_rng(SEED)
    blocks = [draw_rows(rng, sizes, min(_BLOCK, rows - start)) for start in range(0, rows, _BLOCK)]
    root.mkdir(parents=True, exist_ok=True)
    with new_folder(out) as folder:
        write_arrays(folder, blocks)
        (folder / "dataset").mkdir()
        _write_dataset(folder / "dataset", sizes, blocks)
    return out


def _write_dataset(folder: Path, sizes: Sequence[int], blocks: Sequence[Rows]) -> None:
    encoder = _encoder(sizes)
    writer = DatasetWriter(folder, encoder)
    train = SPLITS.index("train")
    for block in blocks:
        encoded = Encoded(ids=block.ids, numbers=block.numbers, unseen={}, rows=len(block))
        split = np.full(len(block), train, np.int8)
        writer.add_tables(writer.tables(encoded, block.labels.astype(np.int8), split))
    missing = dict.fromkeys(encoder.fitted.schema_.numeric_names, 0)
    writer.finish({"seed": SEED}, {}, dict.fromkeys(SPLITS, missing))


def _encoder(sizes: Sequence[int]) -> Encoder:
    """One that learned made-up values, as many as make tables of the given sizes."""
    schema = PRESETS["criteo"]
    vocabularies = {}
    for name, size in zip(schema.id_names, sizes, strict=True):
        kept = np.arange(size - FIRST_ID)
        vocabularies[name] = Vocabulary(pa.array(kept).cast(pa.string()), pa.array(np.ones_like(kept)))
    fitted = FittedSchema(
        schema_=schema,
        statistics=dict.fromkeys(schema.numeric_names[:NUMBERS], Statistics(mean=0.0, std=1.0)),
        vocabulary_sizes={name: len(vocabulary) for name, vocabulary in vocabularies.items()},
        vocabulary_hash=hash_vocabularies(vocabularies),
    )
    return Encoder(fitted, vocabularies)


if __name__ == "__main__":
    make_clicks(Path(sys.argv[1]), rows=int(sys.argv[2]), ids=int(sys.argv[3]))
