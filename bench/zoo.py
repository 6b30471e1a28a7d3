"""All networks: size, training speed beside DeepCTR's and FuxiCTR's, and one row by ONNX. `make bench-zoo`.

Each network is trained with the same settings by every system that has it (`bench.zoo_networks`), on the rows and in
the turns of `bench-train`. One row is scored by the exported graph, on one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.axes import Axes

from bench.clicks import ROWS, make_clicks
from bench.peer_environment import peer_versions
from bench.plots import COLOURS
from bench.report import Report, Table, spread, write
from bench.train import Entry
from bench.turns import System, SystemFailedError, in_turns
from bench.workload import FIELDS, HIDDEN, NUMBERS, TABLE_ROWS, WIDTH
from bench.zoo_networks import DEEPCTR, FUXICTR, settings_of
from ctrfast.model_config import MODEL_NAMES

OURS = "ctrfast"
PEERS = {"DeepCTR": ("bench.peers.deepctr_zoo", DEEPCTR), "FuxiCTR": ("bench.peers.fuxictr_zoo", FUXICTR)}
_PEER_PACKAGES = ("deepctr", "fuxictr", "tf_keras", "torch")


@dataclass
class Measured:
    """Of one network. rows_per_s: by system, of each round. one_row_us: of each repeat."""

    name: str
    parameters: int = 0
    one_row_us: list[float] = field(default_factory=list)
    rows_per_s: dict[str, list[float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def ratio(self, other: str) -> float | None:
        """Median over the rounds of our speed / the other's in the same round."""
        if OURS not in self.rows_per_s or other not in self.rows_per_s:
            return None
        pairs = zip(self.rows_per_s[OURS], self.rows_per_s[other], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)


def entries_of(name: str) -> list[Entry]:
    """The programs that train a network, ours first."""
    model = ("--model", json.dumps(settings_of(name)))
    peers = [
        Entry(system, "", module, ("--ids", str(TABLE_ROWS), *model))
        for system, (module, names) in PEERS.items()
        if name in names
    ]
    return [Entry(OURS, "", "bench.zoo_ours", model), *peers]


def measure(name: str, entries: Sequence[Entry], data: Path, batch_size: int, rounds: int, rows: int) -> Measured:
    """Start the systems and time them in turns of so many rows."""
    measured, systems = Measured(name), list[System]()
    with ExitStack() as stack:
        for entry in entries:
            print(f"{name}: starting {entry.name}", file=sys.stderr)
            try:
                systems.append(stack.enter_context(entry.start(data, batch_size)))
            except SystemFailedError as error:
                measured.failures.append(f"{name}: {error}")
        turns, failures = in_turns(systems, rounds, max(1, rows // batch_size))
    measured.failures += [f"{name}: {failure}" for failure in failures]
    measured.rows_per_s = {system: [batch_size / turn.seconds for turn in taken] for system, taken in turns.items()}
    for system in systems:
        if system.name == OURS:
            measured.parameters, measured.one_row_us = system.facts["parameters"], system.facts["one_row_us"]
    return measured


def report(results: Sequence[Measured], batch_size: int, rounds: int, rows: int) -> Report:
    """One line per network."""
    cells = [
        [
            result.name,
            f"{result.parameters:,}" if result.parameters else "-",
            _rows_per_s(result, OURS),
            f"{min(result.one_row_us):,.0f}" if result.one_row_us else "-",
            *(cell for peer in PEERS for cell in (_rows_per_s(result, peer), _ratio(result, peer))),
        ]
        for result in results
    ]
    header = ["network", "weights outside the table", "rows/s", "one row, us"]
    header += [cell for peer in PEERS for cell in (f"{peer}, rows/s", "ctrfast / it")]
    notes = [
        f"Rounds: {rounds}; in each, every system in turn takes {rows:,} rows, at least one step. Medians, and the"
        " lowest and highest round; ratios are medians of the rounds' ratios.",
        "ctrfast takes rows from parquet and does the exact dense CowClip, L2 and Adam; the others take batches from"
        " memory, and neither clips by rows. DeepCTR has L2 as by its defaults; FuxiCTR clips the global norm.",
        "FuxiCTR's numeric fields have vectors: it multiplies pairs of "
        f"{FIELDS + NUMBERS} fields where ctrfast and DeepCTR have {FIELDS}.",
        *_slower(results),
        *(f"FAILED: {failure}" for result in results for failure in result.failures),
    ]
    return Report(
        name="zoo",
        title=f"All networks at batch {batch_size:,}: {FIELDS} id fields x {WIDTH}, {NUMBERS} numbers, "
        f"MLP {list(HIDDEN)} where there is one, {TABLE_ROWS:,} ids",
        tables=[Table("Size, training, and one row scored by ONNX", header, cells)],
        notes=notes,
        figures={result.name: {**vars(result), "settings": settings_of(result.name)} for result in results},
        versions=peer_versions(_PEER_PACKAGES),
    )


def _slower(results: Sequence[Measured]) -> list[str]:
    found = [(result.name, peer, result.ratio(peer)) for result in results for peer in PEERS]
    compared = [(name, peer, ratio) for name, peer, ratio in found if ratio is not None]
    slower = [f"{name} ({peer}, {ratio:.2f})" for name, peer, ratio in compared if ratio < 1]
    return [f"Compared: {len(compared)}; ctrfast is slower in: {', '.join(slower) or 'none'}."]


def _rows_per_s(result: Measured, system: str) -> str:
    return spread(result.rows_per_s[system]) if system in result.rows_per_s else "-"


def _ratio(result: Measured, peer: str) -> str:
    ratio = result.ratio(peer)
    return "-" if ratio is None else f"{ratio:.2f}"


def draw(axes: Axes, results: Sequence[Measured]) -> None:
    """A row per network: a point for the median of each system."""
    axes.figure.set_size_inches(10, 8)
    for number, system in enumerate((OURS, *PEERS)):
        places = [place for place, result in enumerate(results) if system in result.rows_per_s]
        medians = [statistics.median(results[place].rows_per_s[system]) for place in places]
        axes.plot(medians, places, "o" if system == OURS else "s", color=COLOURS[number], label=system)
    axes.set_yticks(range(len(results)), [result.name for result in results])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set(xlabel="training, rows per second: median of the rounds")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", action="append", choices=MODEL_NAMES, help="all if not given")
    parser.add_argument("--batch-size", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=65_536, help="of a turn")
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the rows are made and kept")
    arguments = parser.parse_args()
    data = make_clicks(arguments.data, ROWS, TABLE_ROWS)
    batch_size, rounds, rows = arguments.batch_size, arguments.rounds, arguments.rows
    results = []
    for name in sorted(arguments.network or MODEL_NAMES):
        results.append(measure(name, entries_of(name), data, batch_size, rounds, rows))
        print(f"{name}: {json.dumps(vars(results[-1]))}", file=sys.stderr)
    write(report(results, batch_size, rounds, rows), lambda axes: draw(axes, results))


if __name__ == "__main__":
    main()
