"""Input alone: parquet shards -> shuffled batches of 65,536 rows, by ctrfast and two usual readers. `make bench-input`.

    ctrfast    `batches` + `prefetch`, with the pool that training takes by default
    pandas     read all shards, permute the frame, take arrays batch by batch
    pyarrow    dataset scanner, its batches to arrays, each permuted within itself (no shuffle over batches)

All hand out ids (B, 26) int32, numbers (B, 13) float32 and labels (B,) float32. Whole passes, in turns; medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.dataset as pads

from bench.clicks import ROWS, make_clicks
from bench.plots import bars
from bench.report import Report, Table, spread, write
from bench.workload import SEED, TABLE_ROWS
from ctrfast.allocator import keep_freed_memory
from ctrfast.config import TrainConfig
from ctrfast.data.batches import Shuffle, batches, prefetch
from ctrfast.data.shards import Dataset
from ctrfast.schema import LABEL

BATCH_SIZE = 65_536
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def by_ctrfast(dataset: Dataset, epoch: int) -> Iterator[Arrays]:
    shuffle = Shuffle(seed=(SEED, epoch), rows=TrainConfig().shuffle_rows)
    for batch in prefetch(batches(dataset, "train", BATCH_SIZE, shuffle=shuffle)):
        yield batch.ids, batch.numbers, batch.labels


def by_pandas(dataset: Dataset, epoch: int) -> Iterator[Arrays]:
    schema = dataset.fitted.schema_
    frame = pd.concat([pd.read_parquet(shard) for shard in dataset.shards("train")])
    frame = frame.sample(frac=1.0, random_state=np.random.default_rng((SEED, epoch)))
    for start in range(0, len(frame), BATCH_SIZE):
        part = frame.iloc[start : start + BATCH_SIZE]
        ids = part[list(schema.id_names)].to_numpy() + np.asarray(dataset.fitted.slot_offsets, np.int32)
        yield ids, part[list(schema.numeric_names)].to_numpy(), part[LABEL].to_numpy(np.float32)


def by_pyarrow(dataset: Dataset, epoch: int) -> Iterator[Arrays]:
    schema = dataset.fitted.schema_
    rng = np.random.default_rng((SEED, epoch))
    for part in pads.dataset(dataset.shards("train")).to_batches(batch_size=BATCH_SIZE):
        order = rng.permutation(part.num_rows)
        columns = {name: part.column(name).to_numpy()[order] for name in part.schema.names}
        ids = np.stack([columns[name] for name in schema.id_names], axis=1)
        numbers = np.stack([columns[name] for name in schema.numeric_names], axis=1)
        yield ids + np.asarray(dataset.fitted.slot_offsets, np.int32), numbers, columns[LABEL].astype(np.float32)


READERS: dict[str, Callable[[Dataset, int], Iterator[Arrays]]] = {
    "ctrfast": by_ctrfast,
    "pandas": by_pandas,
    "pyarrow, in-batch shuffle": by_pyarrow,
}


def rows_per_s(read: Callable[[Dataset, int], Iterator[Arrays]], dataset: Dataset, epoch: int) -> float:
    """Speed of one pass; checks that it handed out each row once, by their number and the sum of their ids."""
    rows, checksum = 0, 0
    started = time.perf_counter()
    for ids, _, _ in read(dataset, epoch):
        rows += len(ids)
        checksum += int(ids[:, 0].sum())
    seconds = time.perf_counter() - started
    if rows != dataset.rows("train"):
        raise SystemExit(f"A pass must hand out {dataset.rows('train')} rows. Got {rows}.")
    _CHECKSUMS.add(checksum)
    if len(_CHECKSUMS) != 1:
        raise SystemExit(f"All readers must hand out the same rows. Got sums of ids {_CHECKSUMS}.")
    return rows / seconds


_CHECKSUMS: set[int] = set()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the rows are made and kept")
    arguments = parser.parse_args()
    keep_freed_memory()  # as `ctrfast train` does; it serves all three
    dataset = Dataset.open(make_clicks(arguments.data, ROWS, TABLE_ROWS) / "dataset")  # reads all files: warm cache
    speeds: dict[str, list[float]] = {name: [] for name in READERS}
    for epoch in range(arguments.rounds):
        for name, read in READERS.items():
            speeds[name].append(rows_per_s(read, dataset, epoch))

    cells = []
    for name, values in speeds.items():
        ratio = statistics.median(ours / theirs for ours, theirs in zip(speeds["ctrfast"], values, strict=True))
        cells.append([name, spread(values), f"{ratio:.1f}"])
    report = Report(
        name="input",
        title=f"Input alone: {ROWS:,} rows of parquet to shuffled batches of {BATCH_SIZE:,}",
        tables=[
            Table("Rows per second: median (lowest-highest pass)", ["reader", "rows/s", "ctrfast / reader"], cells)
        ],
        notes=[f"Passes of each: {arguments.rounds}, in turns; files in the system's cache; one column is summed."],
        figures={"rows_per_s": speeds},
        versions={"pandas": pd.__version__},
    )
    write(report, bars(list(speeds), {"": list(speeds.values())}, "rows per second"))


if __name__ == "__main__":
    main()
