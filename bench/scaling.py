"""Seconds per epoch of ctrfast against the batch size, on the same rows. `make bench-scaling`.

One process per batch size, all asked in turns for a few steps (`bench.turns`); an epoch's time is the median step's
times the number of steps. Exact dense CowClip, from parquet on disk.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

from bench.clicks import ROWS, make_clicks
from bench.plots import Line, against_batch_size
from bench.report import Report, Table, spread, write
from bench.train import ROWS_PER_TURN
from bench.turns import System
from bench.workload import TABLE_ROWS

BATCH_SIZES = [1024 * 2**power for power in range(8)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the rows are made and kept")
    arguments = parser.parse_args()
    data = make_clicks(arguments.data, ROWS, TABLE_ROWS)
    seconds: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
    with ExitStack() as stack:
        systems = {}
        for size in BATCH_SIZES:
            print(f"starting batch {size:,}", file=sys.stderr)
            command = [sys.executable, "-m", "bench.ours", "--data", str(data), "--batch-size", str(size)]
            systems[size] = stack.enter_context(System(f"batch {size:,}", command))
        for _ in range(arguments.rounds):
            for size, system in systems.items():
                seconds[size].append(system.take(ROWS_PER_TURN // size).seconds * (ROWS // size))

    epochs = {size: statistics.median(values) for size, values in seconds.items()}
    smallest = epochs[BATCH_SIZES[0]]
    cells = [
        [f"{size:,}", spread(seconds[size]), f"{ROWS / epoch:,.0f}", f"{smallest / epoch:.2f}"]
        for size, epoch in epochs.items()
    ]
    report = Report(
        name="scaling",
        title=f"ctrfast: seconds per epoch of {ROWS:,} rows against batch size",
        tables=[
            Table(
                "Seconds per epoch: median (lowest-highest round)",
                ["batch size", "seconds per epoch", "rows/s", f"speed-up over {BATCH_SIZES[0]:,}"],
                cells,
            )
        ],
        notes=[f"Rounds: {arguments.rounds}; in each, every batch size in turn takes {ROWS_PER_TURN:,} rows."],
        figures={"seconds_per_epoch": seconds},
    )
    write(report, against_batch_size([Line("ctrfast", seconds)], "seconds per epoch"))


if __name__ == "__main__":
    main()
