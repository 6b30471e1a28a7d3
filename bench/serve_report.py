"""The tables of `bench.serve`: all systems on one and on a hundred impressions, our other forms, our parts."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from bench.load_plan import Figures
from bench.report import Report, Table, spread
from bench.scoring_parts import SECONDS
from bench.serve_cases import CONNECTIONS, OPEN_SHARE, SIZES, Case, Runs
from bench.serve_peers import Peer
from bench.serving_model import ServingModel

_FEW, _MANY = CONNECTIONS
_PARTS_CASES = [Case("instances", size, 1) for size in SIZES] + [Case("context", SIZES[-1], 1)]


def report(
    runs: Mapping[str, Runs],
    ours: str,
    made: ServingModel,
    absent: Sequence[Peer],
    seconds: float,
    versions: Mapping[str, str],
) -> Report:
    """All tables, with what they leave out. versions: of the other systems' packages."""
    tables = [_systems(runs, ours, size) for size in SIZES]
    tables.append(_forms(ours, runs[ours]))
    has_parts = any(micros for rounds in runs[ours].micros.values() for micros in rounds)
    if has_parts:
        tables.append(_parts(ours, runs[ours]))
    return Report(
        name="serve",
        title=f"Scoring online: DeepFM, 26 id fields, 13 counts, {made.ids:,} ids",
        tables=tables,
        notes=[
            *_notes(len(runs[ours].memory_bytes), seconds, has_parts),
            *(
                f"Left out: {peer.name}; {peer.package} is not installed in {peer.python.parent.parent}."
                for peer in absent
            ),
            *(f"FAILED: {found.failure}" for found in runs.values() if found.failure),
        ],
        figures={name: _figures(found) for name, found in runs.items()},
        versions=versions,
    )


def _systems(runs: Mapping[str, Runs], ours: str, size: int) -> Table:
    few, many = (Case("instances", size, connections) for connections in CONNECTIONS)
    rows = []
    for name, found in runs.items():
        if few not in found.figures or many not in found.figures:
            continue
        ratios = [_ratio(runs[ours], found, case) if name != ours else "1" for case in (few, many)]
        rows.append(
            [
                name,
                found.what,
                *(spread(found.rates(case)) for case in (few, many)),
                *(_latency(found.figures[few], quantile) for quantile in ("p50_ms", "p99_ms")),
                _latency(found.figures[many], "p99_ms"),
                f"{sum(figures.errors for case in (few, many) for figures in found.figures[case]):,}",
                spread([size / 2**20 for size in found.memory_bytes]),
                " / ".join(ratios),
            ]
        )
    header = [
        "system",
        "how",
        *(f"requests/s, {connections} connections" for connections in CONNECTIONS),
        *(f"{quantile} ms at {_FEW}" for quantile in ("p50", "p99")),
        f"p99 ms at {_MANY}",
        "errors",
        "memory, MiB",
        f"ctrfast / system, requests/s, {_FEW} / {_MANY}",
    ]
    return Table(f"{size} impression{'s'[: size > 1]} per request: median (lowest-highest round)", header, rows)


def _forms(ours: str, found: Runs) -> Table:
    rows = []
    for case, figures in found.figures.items():
        wanted = [each.rate for each in figures if each.rate is not None]
        rows.append(
            [
                "/v1/score" if case.form == "context" else ":predict",
                f"{case.size}",
                case.load if case.connections else f"Poisson at {spread(wanted)}/s",
                spread(found.rates(case)),
                *(_latency(figures, quantile) for quantile in ("p50_ms", "p99_ms", "p99_9_ms")),
                f"{sum(each.errors for each in figures):,}",
                f"{statistics.median(each.generator_cpu for each in figures):.2f}",
            ]
        )
    header = ["route", "rows", "load", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "errors", "generator's cores"]
    return Table(f"{ours}, closed and open loop: median (lowest-highest round)", header, rows)


def _parts(ours: str, found: Runs) -> Table:
    cases = [case for case in _PARTS_CASES if case in found.micros]
    names = list(dict.fromkeys(part for case in cases for micros in found.micros[case] for part in micros))
    rows = [
        [part, *(f"{statistics.median(micros.get(part, 0.0) for micros in found.micros[case]):,.0f}" for case in cases)]
        for part in names
    ]
    return Table(
        f"{ours}: microseconds of a request by part, by its own metrics", ["part", *(c.text for c in cases)], rows
    )


def _ratio(ours: Runs, theirs: Runs, case: Case) -> str:
    pairs = zip(ours.rates(case), theirs.rates(case), strict=False)  # one that failed has fewer rounds
    return f"{statistics.median(a / b for a, b in pairs):.2f}"


def _latency(rounds: Sequence[Figures], quantile: str) -> str:
    return spread([getattr(figures, quantile) for figures in rounds], 1)


def _figures(found: Runs) -> dict[str, object]:
    return {
        "what": found.what,
        "memory_bytes": found.memory_bytes,
        "errors": found.errors,
        "failure": found.failure,
        "loads": {case.text: [asdict(figures) for figures in rounds] for case, rounds in found.figures.items()},
        "microseconds": {case.text: rounds for case, rounds in found.micros.items()},
    }


def _notes(rounds: int, seconds: float, has_parts: bool) -> list[str]:
    notes = [
        f"Rounds: {rounds}, systems in turns, each started anew; {seconds:g} s of each load after a second to warm up. "
        "Ratios: median of the rounds'. One process of the generator shares the cores with the server.",
        "Open loop: requests are due by a Poisson process whatever the server does, at "
        f"{OPEN_SHARE:.0%} of the larger closed-loop rate of the round; latencies count from when a request was due.",
        "All score the same held-out rows, raw text, with the same ONNX graph on one thread; the first body's scores "
        "equal ours to 1e-5. Only ours demands a key, checks each value, counts unseen ones and calibrates.",
        "1 x context: 13 counts and 16 ids once, 10 ids for each of 100 candidates. MLServer takes tensors of text.",
        "Memory: proportional sizes (Pss) of the server's process and all that it started, at the end of a round.",
    ]
    if not has_parts:
        notes.append(f"No table of parts: the service has no metric {SECONDS}.")
    return notes
