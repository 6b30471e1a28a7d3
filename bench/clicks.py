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
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from bench.workload import NUMBERS, SEED, Rows, draw_rows, field_sizes, write_arrays
from ctrfast.data.columns import ColumnFiles
from ctrfast.data.encode import Encoder
from ctrfast.data.shard_writer import SPLIT_COLUMN, column_types, plan_shards, seal_dataset, write_shard
from ctrfast.data.vocabulary import Vocabulary, hash_vocabularies
from ctrfast.fitted_schema import FittedSchema, Statistics
from ctrfast.folders import new_folder
from ctrfast.schema import FIRST_ID, LABEL, PRESETS, SPLITS

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
    encoder.save(folder)
    schema = encoder.fitted.schema_
    with TemporaryDirectory(dir=folder.parent) as work:
        columns = ColumnFiles(Path(work), column_types(schema))
        columns.write(LABEL, (block.labels for block in blocks))
        columns.write(SPLIT_COLUMN, (np.full(len(block), SPLITS.index("train"), np.int8) for block in blocks))
        for index, name in enumerate(schema.numeric_names):
            columns.write(name, (block.numbers[:, index] for block in blocks))
        for index, name in enumerate(schema.id_names):
            columns.write(name, (block.ids[:, index] for block in blocks))
        plan = plan_shards(columns, sum(map(len, blocks)))
        for shard in plan.shards:
            write_shard(columns, plan, shard, folder)
    missing = {name: [0] * len(SPLITS) for name in schema.numeric_names}
    seal_dataset(folder, encoder.fitted, plan, preparation={"seed": SEED}, rejected={}, missing_numbers=missing)


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
        vocabulary_hash=hash_vocabularies({name: each.hash for name, each in vocabularies.items()}),
    )
    return Encoder(fitted, vocabularies)


if __name__ == "__main__":
    make_clicks(Path(sys.argv[1]), rows=int(sys.argv[2]), ids=int(sys.argv[3]))
