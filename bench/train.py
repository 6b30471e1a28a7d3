"""Training speed of ctrfast, from parquet on disk, beside that of other systems, from memory. `make bench-train`.

All train a DeepFM on the workload's rows (`bench.workload`). Each system is one process per batch size; the processes
are asked in turns for a few steps, round after round, and the medians are compared (`bench.turns`).
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.clicks import ROWS, make_clicks
from bench.peer_environment import PEERS, peer_versions
from bench.plots import Line, against_batch_size
from bench.report import Report, Table, spread, write
from bench.turns import System, SystemFailedError, in_turns
from bench.workload import FIELDS, HIDDEN, NUMBERS, TABLE_ROWS, WIDTH

OURS, PUBLISHED = "ctrfast", "CowClip as published"
# What `ctrfast.allocator` sets, for a program that cannot call it: large buffers are reused, not mapped anew.
ALLOCATOR = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
ROWS_PER_TURN = 131_072
_LARGEST_DIFFERENCE = 1e-4  # between the first losses of two systems that do the same arithmetic
_PEER_PACKAGES = ("torch", "deepctr", "fuxictr", "tf_keras")


@dataclass(frozen=True)
class Entry:
    """A program in the comparison. what: its work and where its rows come from. environment: variables beside ours."""

    name: str
    what: str
    module: str
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_limit(self) -> bool:
        """It trains nothing, and needs no rows."""
        return "limit" in self.module

    def start(self, data: Path, batch_size: int) -> System:
        """Start it.

        Raises:
            SystemFailedError: it ended before it was ready.
        """
        python = PEERS if self.module.startswith("bench.peers") else sys.executable
        rows = [] if self.is_limit else ["--data", str(data)]
        command = [str(python), "-m", self.module, *rows, "--batch-size", str(batch_size), *self.options]
        return System(self.name, command, self.environment)


_IDS = ("--ids", str(TABLE_ROWS))
_TORCH = "bench.peers.torch_fused"
ENTRIES = (
    Entry(OURS, "exact dense CowClip + L2 + Adam; parquet", "bench.ours"),
    Entry("ctrfast, update: sparse", "the same on present rows alone; parquet", "bench.ours", ("--update", "sparse")),
    Entry("torch by hand", "Adam; memory; tuned allocator", _TORCH, _IDS, ALLOCATOR),
    Entry("torch by hand, plain", "Adam; memory", _TORCH, _IDS),
    Entry(
        "torch by hand, sparse",
        "Adam on present rows alone; memory; tuned allocator",
        _TORCH,
        (*_IDS, "--gradients", "sparse"),
        ALLOCATOR,
    ),
    Entry("DeepCTR", "L2 + Adam; memory", "bench.peers.deepctr_plain", _IDS),
    Entry(PUBLISHED, "exact dense CowClip + L2 + Adam; memory", "bench.peers.published", _IDS),
    Entry("FuxiCTR", "global-norm clip + Adam; memory", "bench.peers.fuxictr_plain", _IDS),
    Entry("limit, TensorFlow", "the MLP's matrix products alone", "bench.limit"),
    Entry("limit, torch", "the MLP's matrix products alone", "bench.peers.torch_limit"),
)


@dataclass
class Measured:
    """Of one batch size, by system: figures of each round, peak memory; what failed; the first losses' difference."""

    batch_size: int
    rows_per_s: dict[str, list[float]] = field(default_factory=dict)
    cpu_us_per_row: dict[str, list[float]] = field(default_factory=dict)
    peak_rss_bytes: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    loss_difference: float | None = None

    def ratio(self, name: str, other: str) -> float | None:
        """Median over the rounds of `name`'s speed / `other`'s in the same round."""
        if name not in self.rows_per_s or other not in self.rows_per_s:
            return None
        pairs = zip(self.rows_per_s[name], self.rows_per_s[other], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)


def measure(entries: Sequence[Entry], data: Path, batch_size: int, rounds: int) -> Measured:
    """Start the systems, let them warm up, and time them in turns."""
    measured = Measured(batch_size)
    systems = []
    with ExitStack() as stack:
        for entry in entries:
            print(f"batch {batch_size:,}: starting {entry.name}", file=sys.stderr)
            try:
                systems.append(stack.enter_context(entry.start(data, batch_size)))
            except SystemFailedError as error:
                measured.failures.append(str(error))
        measured.loss_difference = _loss_difference(systems)
        turns, failures = in_turns(systems, rounds, max(1, ROWS_PER_TURN // batch_size))
    measured.failures += failures
    for system in systems:
        if taken := turns.get(system.name):
            measured.rows_per_s[system.name] = [batch_size / turn.seconds for turn in taken]
            measured.cpu_us_per_row[system.name] = [1e6 * turn.cpu_seconds / batch_size for turn in taken]
            measured.peak_rss_bytes[system.name] = system.peak_rss_bytes
    return measured


def _loss_difference(systems: Sequence[System]) -> float | None:
    losses = {system.name: system.facts["first_losses"] for system in systems if "first_losses" in system.facts}
    if OURS not in losses or PUBLISHED not in losses:
        return None
    difference = max(abs(a - b) for a, b in zip(losses[OURS], losses[PUBLISHED], strict=True))
    if difference > _LARGEST_DIFFERENCE:
        raise SystemExit(f"{OURS} and {PUBLISHED} do not do the same: {losses[OURS]}, {losses[PUBLISHED]}.")
    return difference


def report(results: Sequence[Measured], rounds: int) -> Report:
    """Tables of speed, of ratios and of memory."""
    names = [entry.name for entry in ENTRIES if any(entry.name in result.rows_per_s for result in results)]
    what = {entry.name: entry.what for entry in ENTRIES}
    sizes = [f"{result.batch_size:,}" for result in results]
    speed = [[n, what[n], *(spread(r.rows_per_s[n]) if n in r.rows_per_s else "-" for r in results)] for n in names]
    ratios = [[n, *(_number(r.ratio(OURS, n)) for r in results)] for n in names if n != OURS]
    cpu = [[n, *(_number(statistics.median(r.cpu_us_per_row.get(n, [math.nan]))) for r in results)] for n in names]
    memory = [[n, *(_gib(r.peak_rss_bytes.get(n)) for r in results)] for n in names]
    tables = [
        Table("Rows per second: median (lowest-highest round)", ["system", "work, input", *sizes], speed),
        Table("ctrfast / system: median of the rounds' ratios", ["system", *sizes], ratios),
        Table("Processor time, microseconds per row, all threads: median", ["system", *sizes], cpu),
        Table("Peak memory of the process, GiB", ["system", *sizes], memory),
    ]
    return Report(
        name="train",
        title=f"Training a DeepFM: {FIELDS} id fields x {WIDTH}, {NUMBERS} numbers, MLP {list(HIDDEN)}, "
        f"{TABLE_ROWS:,} ids",
        tables=tables,
        notes=_notes(results, rounds),
        figures={str(result.batch_size): vars(result) for result in results},
        versions=peer_versions(_PEER_PACKAGES),
    )


def _notes(results: Sequence[Measured], rounds: int) -> list[str]:
    notes = [f"Rounds: {rounds}; in each, every system in turn takes {ROWS_PER_TURN:,} rows, at least one step."]
    differences = [result.loss_difference for result in results if result.loss_difference is not None]
    if differences:
        notes.append(f"Largest difference of the first losses, {OURS} and {PUBLISHED}: {max(differences):.1e}.")
    base = results[0].rows_per_s.get(PUBLISHED)
    for result in results[1:]:
        if base and OURS in result.rows_per_s:
            gain = statistics.median(result.rows_per_s[OURS]) / statistics.median(base)
            sizes = f"at batch {result.batch_size:,} / {PUBLISHED} at {results[0].batch_size:,}"
            notes.append(f"{OURS} {sizes}: {gain:.1f}.")
    return [*notes, *(f"FAILED: {failure}" for result in results for failure in result.failures)]


def lines(results: Sequence[Measured]) -> list[Line]:
    """Speed against batch size, of each system."""
    found = [
        Line(
            entry.name,
            {result.batch_size: result.rows_per_s[entry.name] for result in results if entry.name in result.rows_per_s},
            dashed=entry.is_limit,
            bold=entry.name == OURS,
        )
        for entry in ENTRIES
    ]
    return [line for line in found if line.values]


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def _gib(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**30:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, action="append", help="1,024, 8,192, 65,536 and 131,072 if not given")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--system", action="append", choices=[entry.name for entry in ENTRIES], help="all if not given")
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the rows are made and kept")
    arguments = parser.parse_args()
    data = make_clicks(arguments.data, ROWS, TABLE_ROWS)
    entries = [entry for entry in ENTRIES if not arguments.system or entry.name in arguments.system]
    sizes = sorted(arguments.batch_size or [1024, 8192, 65536, 131072])
    results = [measure(entries, data, size, arguments.rounds) for size in sizes]
    write(report(results, arguments.rounds), against_batch_size(lines(results), "rows per second"))


if __name__ == "__main__":
    main()
