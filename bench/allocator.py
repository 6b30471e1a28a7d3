"""What `ctrfast.allocator` saves: our step with freed memory kept in the process or not. `make bench-allocator`."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.clicks import ROWS, make_clicks
from bench.plots import bars
from bench.report import Report, Table, spread, write
from bench.train import Entry, measure
from bench.workload import TABLE_ROWS

KEPT, SYSTEM = "kept", "system"
_BATCH_SIZES = (1024, 8192, 65_536)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the rows are made and kept")
    arguments = parser.parse_args()
    data = make_clicks(arguments.data, ROWS, TABLE_ROWS)
    entries = [Entry(name, "", "bench.ours", ("--allocator", name)) for name in (KEPT, SYSTEM)]
    results = [measure(entries, data, size, arguments.rounds) for size in _BATCH_SIZES]
    cells = [
        [f"{r.batch_size:,}", spread(r.rows_per_s[KEPT]), spread(r.rows_per_s[SYSTEM]), f"{r.ratio(KEPT, SYSTEM):.2f}"]
        for r in results
    ]
    report = Report(
        name="allocator",
        title="Training with freed memory kept in the process, and given back to the system",
        tables=[Table("Rows per second: median (lowest-highest round)", ["batch size", KEPT, SYSTEM, "ratio"], cells)],
        notes=[f"Rounds: {arguments.rounds}, in turns; the ratio is the median of the rounds' ratios."],
        figures={str(result.batch_size): vars(result) for result in results},
    )
    groups = {name: [result.rows_per_s[name] for result in results] for name in (KEPT, SYSTEM)}
    write(report, bars([f"batch {size:,}" for size in _BATCH_SIZES], groups, "rows per second"))


if __name__ == "__main__":
    main()
