"""Training speed of ctrfast on one GPU, beside torch and CowClip the published way on the same. `make bench-gpu`.

The systems and their work are those of `bench.train`; all are started first, then asked in turns. Steps are handed to
the GPU and waited for once per turn. Our rows lie in the GPU's memory, as in `ctrfast train` on one GPU, or on disk;
torch's batches lie in the GPU's memory, those of CowClip the published way in the machine's.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.clicks import ROWS, make_clicks
from bench.peer_environment import PEERS, peer_versions
from bench.plots import Line, against_batch_size
from bench.report import Report, Table, spread, write
from bench.turns import System, SystemFailedError, in_turns
from bench.workload import FIELDS, HIDDEN, NUMBERS, TABLE_ROWS, WIDTH

ROWS_PER_TURN = 4_194_304
MOST_STEPS = 256  # of a turn, at small batches
_STARTING = 8  # systems at a time: each compiles on one or two cores
PUBLISHED = "CowClip as published"
CRITEO_ROWS = 41_256_556  # nine tenths of Criteo's 45,840,617 rows
_SHARE = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}  # else the first TensorFlow takes the whole GPU
PAPER_EPOCH_S = 54  # 9 minutes for 10 epochs of DeepFM at batch 131,072 on one V100


@dataclass(frozen=True)
class Entry:
    """A program in the comparison. what: its work and where its rows come from."""

    name: str
    what: str
    module: str
    options: Sequence[str]

    def start(self, peers: Path, data: Path, batch_size: int) -> System:
        """Start it. peers: the Python of the other systems.

        Raises:
            SystemFailedError: it ended before it was ready.
        """
        python = peers if self.module.startswith("bench.peers") else sys.executable
        common = ["--data", str(data), "--batch-size", str(batch_size)]
        return System(self.name, [str(python), "-m", self.module, *common, *self.options], _SHARE)


_OURS, _PARQUET = "bench.gpu_ours", ("--input", "parquet")
_TORCH, _CUDA = "bench.peers.torch_fused", ("--ids", str(TABLE_ROWS), "--device", "cuda")
_HALF = ("--precision", "bfloat16")
_COWCLIP = "exact dense CowClip + L2 + Adam"
ENTRIES = (
    Entry("ctrfast", f"{_COWCLIP}; the GPU's memory, shuffled", _OURS, ()),
    Entry("ctrfast, bfloat16", "the same, products in bfloat16", _OURS, _HALF),
    Entry("ctrfast, update: sparse", "the same on present rows alone", _OURS, ("--update", "sparse")),
    Entry("ctrfast, from disk", f"{_COWCLIP}; parquet, shuffled", _OURS, _PARQUET),
    Entry("torch by hand", "Adam; the GPU's memory, not shuffled", _TORCH, _CUDA),
    Entry("torch by hand, bfloat16", "the same, products in bfloat16", _TORCH, (*_CUDA, *_HALF)),
    Entry(PUBLISHED, f"{_COWCLIP}; memory", "bench.peers.published", ("--ids", str(TABLE_ROWS))),
)


@dataclass
class Measured:
    """Of one batch size: the systems, and of each its rows/s by round and peak memory of the GPU; what failed."""

    batch_size: int
    systems: Sequence[System] = ()
    rows_per_s: dict[str, list[float]] = field(default_factory=dict)
    peak_device_bytes: dict[str, int | None] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def take_turns(self, rounds: int) -> None:
        """Time the systems."""
        turns, failures = in_turns(self.systems, rounds, min(MOST_STEPS, ROWS_PER_TURN // self.batch_size))
        self.failures += failures
        for system in self.systems:
            if taken := turns.get(system.name):
                self.rows_per_s[system.name] = [self.batch_size / turn.seconds for turn in taken]
                self.peak_device_bytes[system.name] = system.peak_device_bytes


def measure(entries: Sequence[Entry], peers: Path, data: Path, sizes: Sequence[int], rounds: int) -> list[Measured]:
    """Start all systems at all batch sizes, several at a time, then time those of each batch size in turns."""
    results = []
    with ExitStack() as stack, ThreadPoolExecutor(_STARTING) as pool:
        starting = {(size, entry): pool.submit(entry.start, peers, data, size) for size in sizes for entry in entries}
        for size in sizes:
            measured, systems = Measured(size), []
            for entry in entries:
                try:
                    systems.append(stack.enter_context(starting[size, entry].result()))
                except SystemFailedError as error:
                    measured.failures.append(str(error))
            results.append(measured)
            measured.systems = systems
        for measured in results:
            print(f"batch {measured.batch_size:,}", file=sys.stderr)
            measured.take_turns(rounds)
    return results


def report(results: Sequence[Measured], rounds: int, versions: dict[str, str]) -> Report:
    """Tables of speed, of an epoch's time and of memory."""
    names = [entry.name for entry in ENTRIES if any(entry.name in result.rows_per_s for result in results)]
    what = {entry.name: entry.what for entry in ENTRIES}
    sizes = [f"{result.batch_size:,}" for result in results]

    def cells(name: str, show: Callable[[Sequence[float]], str]) -> list[str]:
        return [show(r.rows_per_s[name]) if name in r.rows_per_s else "-" for r in results]

    speed = [[name, what[name], *cells(name, spread)] for name in names]
    epochs = [[name, *cells(name, lambda v: f"{CRITEO_ROWS / statistics.median(v):,.1f}")] for name in names]
    memory = [[name, *(_gib(r.peak_device_bytes.get(name)) for r in results)] for name in names]
    return Report(
        name="gpu",
        title=f"Training a DeepFM on one GPU: {FIELDS} id fields x {WIDTH}, {NUMBERS} numbers, MLP {list(HIDDEN)}, "
        f"{TABLE_ROWS:,} ids",
        tables=[
            Table("Rows per second: median (lowest-highest round)", ["system", "work, input", *sizes], speed),
            Table(f"Seconds for {CRITEO_ROWS:,} rows at that speed", ["system", *sizes], epochs),
            Table("Peak memory of the GPU in use by tensors, GiB", ["system", *sizes], memory),
        ],
        notes=[
            f"GPU: {_gpu()}.",
            f"Rounds: {rounds}; in each, every system in turn takes {ROWS_PER_TURN:,} rows, or {MOST_STEPS} steps.",
            f"{CRITEO_ROWS:,} rows are an epoch of Criteo as the paper cuts it: arithmetic, without evaluations. The "
            f"paper's figure is {PAPER_EPOCH_S} s (10 epochs in 9 minutes, batch 131,072, one V100).",
            *(f"FAILED: {failure}" for result in results for failure in result.failures),
        ],
        figures={
            str(result.batch_size): {
                "rows_per_s": result.rows_per_s,
                "peak_device_bytes": result.peak_device_bytes,
                "failures": result.failures,
            }
            for result in results
        },
        versions=versions,
    )


def _gib(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**30:.2f}"


def _gpu() -> str:
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    return subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, action="append", help="1,024, 8,192, 65,536 and 131,072 if not given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--system", action="append", choices=[entry.name for entry in ENTRIES], help="all if not given")
    parser.add_argument("--rows", type=int, default=ROWS, help="of the training split on disk")
    parser.add_argument("--peers", type=Path, default=PEERS, help="Python with torch for CUDA, deepctr and TensorFlow")
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the rows are made and kept")
    arguments = parser.parse_args()
    if shutil.which("nvidia-smi") is None:
        raise SystemExit("bench-gpu needs an NVIDIA GPU with its driver; nvidia-smi was not found.")
    data = make_clicks(arguments.data, arguments.rows, TABLE_ROWS)
    entries = [entry for entry in ENTRIES if not arguments.system or entry.name in arguments.system]
    sizes = sorted(arguments.batch_size or [1024, 8192, 65536, 131072])
    results = measure(entries, arguments.peers, data, sizes, arguments.rounds)
    versions = peer_versions(("torch", "deepctr"), arguments.peers)
    lines = [
        Line(entry.name, values, bold=entry.name == "ctrfast")
        for entry in entries
        if (values := {r.batch_size: r.rows_per_s[entry.name] for r in results if entry.name in r.rows_per_s})
    ]
    write(report(results, arguments.rounds, versions), against_batch_size(lines, "rows per second"))


if __name__ == "__main__":
    main()
