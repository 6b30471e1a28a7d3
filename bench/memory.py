"""Peak memory of a training process beside the bytes of its weights and moments. `make bench-memory`.

    python -m bench.memory --ids 34000000        about 6 GB of files and 11 GiB of memory

A dataset with so many ids is made in one process; another one, `ctrfast train`, takes an epoch on it at batch 65,536,
with its shuffle and its checkpoint. The goal of the design is 2.5 times weights and moments at most.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from matplotlib.axes import Axes

from bench.clicks import ROWS, make_clicks
from bench.plots import COLOURS
from bench.report import Report, Table, write
from bench.turns import SystemFailedError
from bench.watched import Watched
from bench.workload import WIDTH

BATCH_SIZE = 65_536
GOAL = 2.5
_FLOAT_BYTES = 4
_SLOTS = 3  # a weight and Adam's two moments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=34_000_000)
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the rows are made and kept")
    arguments = parser.parse_args()
    # In a process of its own: so many ids take more memory than the rest of this one's work.
    maker = [sys.executable, "-m", "bench.clicks", str(arguments.data), str(ROWS), str(arguments.ids)]
    subprocess.run(maker, check=True)
    data = make_clicks(arguments.data, ROWS, arguments.ids)
    with tempfile.TemporaryDirectory(dir=arguments.data) as folder:
        program = str(Path(sys.executable).with_name("ctrfast"))
        run = ("--data", str(data / "dataset"), "--out", f"{folder}/run", "--batch-size", str(BATCH_SIZE))
        try:
            watched = Watched("ctrfast train", [program, "train", *run])
        except SystemFailedError as error:
            raise SystemExit(str(error)) from None
    state = _SLOTS * arguments.ids * (WIDTH + 1) * _FLOAT_BYTES
    ratio = watched.peak_bytes / state
    cells = [f"{arguments.ids:,}", _gib(state), _gib(watched.peak_bytes), f"{ratio:.2f}", f"{GOAL}"]
    report = Report(
        name="memory",
        title=f"Memory of training with {arguments.ids:,} ids x {WIDTH + 1}, batch {BATCH_SIZE:,}",
        tables=[
            Table("Peak", ["ids", "weights and moments, GiB", "peak resident, GiB", "ratio", "goal at most"], [cells])
        ],
        notes=[f"`ctrfast train`, one epoch of {ROWS // BATCH_SIZE} steps, with its checkpoint."],
        figures={
            "ids": arguments.ids,
            "weights_and_moments_bytes": state,
            "peak_rss_bytes": watched.peak_bytes,
            "ratio": ratio,
            "resident_bytes_over_seconds": watched.samples,
        },
    )

    def draw(axes: Axes) -> None:
        seconds = [second for second, _ in watched.samples]
        axes.plot(seconds, [size / 2**30 for _, size in watched.samples], color=COLOURS[0], label="resident")
        axes.axhline(state / 2**30, color=COLOURS[2], ls="--", label="weights and moments")
        axes.axhline(GOAL * state / 2**30, color=COLOURS[3], ls="--", label=f"{GOAL} x weights and moments")
        axes.set(xlabel="seconds since the start of the process", ylabel="GiB", ylim=(0, None))
        axes.legend(loc="lower right")

    write(report, draw)


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f}"


if __name__ == "__main__":
    main()
