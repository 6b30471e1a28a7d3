"""All networks: size, training speed beside DeepCTR's and FuxiCTR's, and one row by ONNX. `make bench-zoo`.

Each network is trained with the same settings by every system that has it (`bench.zoo_networks`), on the rows and in
the turns of `bench-train`. One row is scored by the exported graph, on one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path

from matplotlib.axes import Axes

from bench.clicks import ROWS, make_clicks
from bench.fuxictr_checkout import CHECKOUT, NETWORKS
from bench.peer_environment import peer_versions
from bench.plots import COLOURS
from bench.report import RESULTS, Report, Table, spread, write
from bench.train import Entry
from bench.turns import System, SystemFailedError, in_turns
from bench.workload import FIELDS, HIDDEN, NUMBERS, TABLE_ROWS, WIDTH
from bench.zoo_networks import peers_of, settings_of
from ctrfast.model_config import MODEL_NAMES

OURS = "ctrfast"
PEERS = {"DeepCTR": "bench.peers.deepctr_zoo", "FuxiCTR": "bench.peers.fuxictr_zoo"}
_PEER_PACKAGES = ("deepctr", "fuxictr", "tf_keras", "torch")


@dataclass
class Measured:
    """Of one network. rows_per_s: by system, of each round. one_row_us: of each repeat. earlier: the run, if kept."""

    name: str
    parameters: int = 0
    one_row_us: list[float] = field(default_factory=list)
    rows_per_s: dict[str, list[float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    earlier: dict[str, str] | None = None

    def ratio(self, other: str) -> float | None:
        """Median over the rounds of our speed / the other's in the same round."""
        if OURS not in self.rows_per_s or other not in self.rows_per_s:
            return None
        pairs = zip(self.rows_per_s[OURS], self.rows_per_s[other], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)


def entries_of(name: str, checkout: Path = CHECKOUT) -> list[Entry]:
    """The programs that train a network, ours first. checkout: of FuxiCTR's repository."""
    model = ("--model", json.dumps(settings_of(name)))
    peers = [Entry(peer, "", PEERS[peer], ("--ids", str(TABLE_ROWS), *model)) for peer in peers_of(name, checkout)]
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


def kept(path: Path, names: Collection[str], title: str, turns: str) -> list[Measured]:
    """Figures of an earlier run, of networks beside `names`, each with the run's command, date and machine.

    Raises:
        SystemExit: it was made with other settings.
    """
    made = json.loads(path.read_text(encoding="utf-8"))
    if (made["title"], made["notes"][0]) != (title, turns):
        raise SystemExit(f"{path} is of other settings ({made['title']}. {made['notes'][0]}): run all networks.")
    run = {name: made[name] for name in ("command", "date", "machine")}
    figures = {name: own for name, own in made["figures"].items() if name not in names}
    parts = {part.name for part in fields(Measured)}
    given = [{part: value for part, value in own.items() if part in parts} for own in figures.values()]
    return [Measured(**{**own, "earlier": own.get("earlier") or run}) for own in given]


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
        _turns(rounds, rows),
        "ctrfast takes rows from parquet and does the exact dense CowClip, L2 and Adam; the others take batches from"
        " memory, and neither clips by rows. DeepCTR has L2 as by its defaults; FuxiCTR clips the global norm.",
        "FuxiCTR's numeric fields have vectors, but in dlrm: it multiplies pairs of "
        f"{FIELDS + NUMBERS} fields where ctrfast and DeepCTR have {FIELDS}. Its fcn (DCNv3) has our loss.",
        *_slower(results),
        *_without_file(results),
        *_kept(results),
        *(f"FAILED: {failure}" for result in results for failure in result.failures),
    ]
    return Report(
        name="zoo",
        title=_title(batch_size),
        tables=[Table("Size, training, and one row scored by ONNX", header, cells)],
        notes=notes,
        figures={result.name: {**vars(result), "settings": settings_of(result.name)} for result in results},
        versions=peer_versions(_PEER_PACKAGES),
    )


def _title(batch_size: int) -> str:
    return (
        f"All networks at batch {batch_size:,}: {FIELDS} id fields x {WIDTH}, {NUMBERS} numbers, "
        f"MLP {list(HIDDEN)} where there is one, {TABLE_ROWS:,} ids"
    )


def _turns(rounds: int, rows: int) -> str:
    return (
        f"Rounds: {rounds}; in each, every system in turn takes {rows:,} rows, at least one step. Medians, and the"
        " lowest and highest round; ratios are medians of the rounds' ratios."
    )


def _without_file(results: Sequence[Measured]) -> list[str]:
    """A line on those of FuxiCTR's networks that were left out, as their files are not there."""
    failed = " ".join(failure for result in results for failure in result.failures)
    names = [
        result.name
        for result in results
        if result.name in NETWORKS and "FuxiCTR" not in result.rows_per_s and f"{result.name}: FuxiCTR" not in failed
    ]
    where = f"files of its repository that {CHECKOUT} had not (`make {CHECKOUT}/.ready`)"
    return [f"Not measured: FuxiCTR's {', '.join(names)}, which are {where}."] if names else []


def _kept(results: Sequence[Measured]) -> list[str]:
    """A line for each earlier run that some figures are of."""
    runs = {json.dumps(result.earlier): result.earlier for result in results if result.earlier}
    return [
        f"Of `{run['command']}` on {run['date']} ({run['machine']}): "
        f"{', '.join(result.name for result in results if result.earlier == run)}."
        for run in runs.values()
    ]


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
    parser.add_argument("--keep", action="store_true", help="the other networks' figures of the run before")
    parser.add_argument("--batch-size", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=65_536, help="of a turn")
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the rows are made and kept")
    arguments = parser.parse_args()
    data = make_clicks(arguments.data, ROWS, TABLE_ROWS)
    batch_size, rounds, rows = arguments.batch_size, arguments.rounds, arguments.rows
    names = sorted(arguments.network or MODEL_NAMES)
    former = []
    if arguments.keep:
        former = kept(RESULTS / "zoo.json", names, _title(batch_size), _turns(rounds, rows))
    results = []
    for name in names:
        results.append(measure(name, entries_of(name), data, batch_size, rounds, rows))
        print(f"{name}: {json.dumps(vars(results[-1]))}", file=sys.stderr)
    results = sorted([*results, *former], key=lambda result: result.name)
    write(report(results, batch_size, rounds, rows), lambda axes: draw(axes, results))


if __name__ == "__main__":
    main()
