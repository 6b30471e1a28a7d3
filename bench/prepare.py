"""Preparing raw clicks beside other systems, and ctrfast alone on ever more rows. `make bench-prepare`.

    python -m bench.prepare --rounds 3 --rows 1000000 --growth 1000000 --growth 16000000 --memory-limit 1GB

All do the work of `bench.prepare_work` on the same file (`bench.raw_clicks`), each in a fresh process per round, in
turns; what they wrote in the first round is compared with ours (`bench.prepare_checks`). Ours is the command line as a
user runs it, all its checks on.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.peer_environment import PEERS, peer_versions
from bench.plots import bars
from bench.prepare_checks import ResultsDifferError, same_columns, same_kept, same_rows, same_table
from bench.prepare_work import MIN_COUNT
from bench.raw_clicks import make_raw
from bench.report import Report, Table, spread, write
from bench.turns import SystemFailedError
from bench.watched import Watched
from ctrfast.data.shards import Dataset

OURS = "ctrfast"
GROWTH = (1_000_000, 4_000_000, 16_000_000)  # rows for ours alone
_PEER_PACKAGES = ("polars", "duckdb", "pyarrow", "pandas", "scikit-learn", "fuxictr", "torchrec", "torch")


@dataclass(frozen=True)
class Peer:
    """Another system. package: what it needs; where that is not installed it is left out. check: of what it wrote."""

    name: str
    what: str
    module: str
    package: str
    check: Callable[[Dataset, Path], None]

    def command(self, raw: Path, out: Path) -> list[str]:
        """Its program, in the environment of the other systems."""
        return [str(PEERS), "-m", self.module, "--raw", str(raw), "--out", str(out)]


PEERS_OF_PREPARE = (
    Peer("polars by hand", "same table; streaming", "bench.peers.prepare_polars", "polars", same_table),
    Peer("duckdb by hand", "same table, rows in no order", "bench.peers.prepare_duckdb", "duckdb", same_columns),
    Peer("pyarrow + numpy by hand", "same table; in memory", "bench.peers.prepare_arrow", "pyarrow", same_table),
    Peer(
        "CowClip authors' way",
        "LabelEncoder on all rows; no threshold",
        "bench.peers.prepare_label_encoder",
        "scikit-learn",
        same_rows,
    ),
    Peer("FuxiCTR", "same kept ids; not standardised", "bench.peers.prepare_fuxictr", "fuxictr", same_kept),
    Peer("TorchRec", "threshold on all rows; npy", "bench.peers.prepare_torchrec", "torchrec", same_rows),
)


@dataclass
class Runs:
    """Of one system on one file, by round. seconds: from start to end. peak_bytes: of the process and its children."""

    rows: int
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: list[int] = field(default_factory=list)
    embedding_rows: int | None = None
    failure: str | None = None

    @property
    def rows_per_s(self) -> list[float]:
        """Of each round."""
        return [self.rows / seconds for seconds in self.seconds]

    def add(self, name: str, command: Sequence[str]) -> None:
        """Run it once more, with nothing of earlier runs left to be written to the disk; a failure is kept."""
        print(f"{self.rows:,} rows: {name}", file=sys.stderr)
        os.sync()
        try:
            watched = Watched(name, command)
        except SystemFailedError as error:
            self.failure = str(error)
            return
        self.seconds.append(watched.seconds)
        self.cpu_seconds.append(watched.cpu_seconds)
        self.peak_bytes.append(watched.peak_bytes)


def our_command(raw: Path, out: Path, memory_limit: str) -> list[str]:
    """`ctrfast prepare`, from the environment that this runs in."""
    program = str(Path(sys.executable).with_name("ctrfast"))
    how = ["--preset", "criteo", "--min-count", str(MIN_COUNT), "--split", "sequential", "--memory-limit", memory_limit]
    return [program, "prepare", str(raw), *how, "--out", str(out)]


def compare(peers: Sequence[Peer], raw: Path, rows: int, rounds: int, memory_limit: str) -> dict[str, Runs]:
    """Time ours and the others in turns. What failed has a `failure`, and is left out of later rounds.

    Raises:
        SystemFailedError: ours failed, so that there is nothing to compare with.
        ResultsDifferError: another system prepared something else.
    """
    runs = {OURS: Runs(rows), **{peer.name: Runs(rows) for peer in peers}}
    for index in range(rounds):
        with tempfile.TemporaryDirectory(dir=raw.parent) as folder:
            ours = Path(folder) / "ours"
            runs[OURS].add(OURS, our_command(raw, ours, memory_limit))
            if runs[OURS].failure:
                raise SystemFailedError(runs[OURS].failure)
            for peer in peers:
                if runs[peer.name].failure:
                    continue
                with tempfile.TemporaryDirectory(dir=folder) as out:
                    runs[peer.name].add(peer.name, peer.command(raw, Path(out)))
                    if index == 0 and not runs[peer.name].failure:
                        _check(peer, ours, Path(out))
    return runs


def _check(peer: Peer, ours: Path, out: Path) -> None:
    try:
        peer.check(Dataset.open(ours, verify=False), out)
    except ResultsDifferError as error:
        raise ResultsDifferError(f"{OURS} and {peer.name} do not prepare the same. {error}") from error


def grow(files: Sequence[tuple[int, Path]], rounds: int, memory_limit: str) -> list[Runs]:
    """Time ours alone on files of different lengths, in turns; a run that fails has a `failure`."""
    grown = [Runs(rows) for rows, _ in files]
    for _ in range(rounds):
        for runs, (_, raw) in zip(grown, files, strict=True):
            if runs.failure:
                continue
            with tempfile.TemporaryDirectory(dir=raw.parent) as folder:
                out = Path(folder) / "ours"
                runs.add(OURS, our_command(raw, out, memory_limit))
                if not runs.failure:
                    runs.embedding_rows = Dataset.open(out, verify=False).fitted.table_rows
    return grown


def report(compared: dict[str, Runs], grown: Sequence[Runs], absent: Sequence[Peer], memory_limit: str) -> Report:
    """Both tables, with what they leave out."""
    what = {OURS: "checked, standardised, hashed, synced", **{peer.name: peer.what for peer in PEERS_OF_PREPARE}}
    ours = compared[OURS]
    rows = [
        [name, what[name], *_cells(runs), _ratio(ours, runs) if name != OURS else "1"]
        for name, runs in compared.items()
        if runs.seconds
    ]
    figures = ["seconds", "rows/s", "peak memory, GiB", "processor s"]
    growth = [
        [f"{runs.rows:,}", "-" if runs.embedding_rows is None else f"{runs.embedding_rows:,}", *_cells(runs)]
        for runs in grown
    ]
    failures = [runs.failure for runs in [*compared.values(), *grown] if runs.failure]
    return Report(
        name="prepare",
        title=f"Preparing {ours.rows:,} raw Criteo rows with about as many distinct ids",
        tables=[
            Table(
                f"{ours.rows:,} rows: median (lowest-highest round)",
                ["system", "work", *figures, "ctrfast / system, rows/s"],
                rows,
            ),
            Table(
                f"ctrfast on more rows, --memory-limit {memory_limit}: median (lowest-highest round)",
                ["rows", "embedding rows", *figures],
                growth,
            ),
        ],
        notes=[*_notes(len(ours.seconds), absent), *(f"FAILED: {failure}" for failure in failures)],
        figures={
            "compared": {name: asdict(runs) for name, runs in compared.items()},
            "grown": [asdict(runs) for runs in grown],
        },
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    versions = peer_versions(_PEER_PACKAGES)
    if "pyarrow" in versions:
        versions["pyarrow of peers"] = versions.pop("pyarrow")  # ours, listed beside it, may be another one
    return versions


def _cells(runs: Runs) -> list[str]:
    if not runs.seconds:
        return ["-"] * 4
    memory = [size / 2**30 for size in runs.peak_bytes]
    return [spread(runs.seconds, 1), spread(runs.rows_per_s), spread(memory, 2), f"{_median(runs.cpu_seconds):.1f}"]


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _ratio(ours: Runs, theirs: Runs) -> str:
    pairs = zip(ours.rows_per_s, theirs.rows_per_s, strict=False)  # one that failed has fewer rounds
    return f"{_median([a / b for a, b in pairs]):.2f}"


def _notes(rounds: int, absent: Sequence[Peer]) -> list[str]:
    return [
        f"Rounds: {rounds}, systems in turns, a fresh process each; seconds from its start to its end; raw file in the "
        "system's cache. Ratios: median of the rounds'.",
        "Peak memory: the system's count of resident pages since the program was loaded (VmHWM, read every 20 ms); of "
        "programs that start others, the largest sum of the proportional sizes (Pss) of all.",
        '"same table": each label, id and number equals ours before it is standardised. Of FuxiCTR the rows per split '
        "and the kept values per field equal ours, of the others the rows per split.",
        "Only ours checks each line and cell, keeps what it rejects, standardises numbers, writes a manifest with the "
        "sha256 of each file, and waits until all is on the disk.",
        *(f"Left out: {peer.name}; {peer.package} is not installed in {PEERS.parent.parent}." for peer in absent),
    ]


def main() -> None:
    names = [peer.name for peer in PEERS_OF_PREPARE]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the comparison")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", type=int, action="append", help="rows for ours alone; 1, 4 and 16 million if none")
    parser.add_argument("--memory-limit", default="1GB", help="of ours, as `ctrfast prepare` takes it")
    parser.add_argument("--system", action="append", choices=names, help="beside ours; all if not given")
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the rows are made and kept")
    arguments = parser.parse_args()
    installed = peer_versions([peer.package for peer in PEERS_OF_PREPARE])
    chosen = [peer for peer in PEERS_OF_PREPARE if not arguments.system or peer.name in arguments.system]
    peers = [peer for peer in chosen if peer.package in installed]
    raw = _made(arguments.data, arguments.rows)
    longer = [(rows, _made(arguments.data, rows)) for rows in sorted(arguments.growth or GROWTH)]
    try:
        compared = compare(peers, raw, arguments.rows, arguments.rounds, arguments.memory_limit)
    except (SystemFailedError, ResultsDifferError) as error:
        raise SystemExit(str(error)) from None
    grown = grow(longer, arguments.rounds, arguments.memory_limit)
    shown = {name: runs.rows_per_s for name, runs in compared.items() if runs.seconds}
    absent = [peer for peer in chosen if peer not in peers]
    write(
        report(compared, grown, absent, arguments.memory_limit),
        bars(list(shown), {"": list(shown.values())}, "rows per second"),
    )


def _made(root: Path, rows: int) -> Path:
    """The raw file, made in a process of its own, so that what it takes is given back, and read once."""
    subprocess.run([sys.executable, "-m", "bench.raw_clicks", str(root), str(rows)], check=True)
    raw = make_raw(root, rows)
    with raw.open("rb") as file:
        while file.read(1 << 24):
            pass
    return raw


if __name__ == "__main__":
    main()
