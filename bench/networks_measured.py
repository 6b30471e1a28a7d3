"""What bench-zoo and bench-zoo-auc measured, as Markdown for the networks' pages; nothing where their files are not.

of_all(RESULTS)                          # the tables of all networks, for the index
of_one("dcn", RESULTS)                   # one network's
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_OURS = "ctrfast"
_SPEED, _AUC = "zoo", "zoo_auc"


def of_all(results: Path) -> str:
    """A table of speed and one of AUC, a line per network."""
    return _joined((*_speeds(_read(results, _SPEED)), *_aucs(_read(results, _AUC))))


def of_one(name: str, results: Path) -> str:
    """The same of one network, with the rounds' lowest and highest, and what printed it."""
    return _joined((*_speed_of(name, _read(results, _SPEED)), *_auc_of(name, _read(results, _AUC))))


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Markdown; so many columns to the left."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


def _joined(parts: Sequence[str]) -> str:
    return "".join(f"\n{part}\n" for part in parts)


def _read(results: Path, bench: str) -> Mapping[str, Any] | None:
    path = results / f"{bench}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _source(made: Mapping[str, Any], bench: str) -> str:
    return (
        f"Printed by `{made['command']}` on {made['date']} ({made['machine']}), "
        f"all of it in [bench/results/{bench}.md](../../bench/results/{bench}.md)."
    )


def _speeds(made: Mapping[str, Any] | None) -> Iterator[str]:
    if made is None:
        return
    found = made["figures"]
    peers = sorted({system for figures in found.values() for system in figures["rows_per_s"]} - {_OURS})
    rows = [
        [
            f"`{name}`",
            *(_median(figures["rows_per_s"].get(system)) for system in (_OURS, *peers)),
            _one_row(figures["one_row_us"]),
        ]
        for name, figures in sorted(found.items())
    ]
    earlier = ", ".join(f"`{name}`" for name, figures in sorted(found.items()) if figures.get("earlier"))
    source = f"{_source(made, _SPEED)}{f' Of earlier runs, which it names: {earlier}.' if earlier else ''}"
    yield f"Training, rows per second, and one row scored by ONNX. {made['title']}. {source}"
    yield table(["network", _OURS, *peers, "one row, us"], rows)


def _speed_of(name: str, made: Mapping[str, Any] | None) -> Iterator[str]:
    if made is None or name not in made["figures"]:
        return
    figures = made["figures"][name]
    ours = figures["rows_per_s"].get(_OURS, ())
    rows = [
        [system, _with_range(values), "" if system == _OURS else _ratio(ours, values)]
        for system, values in sorted(figures["rows_per_s"].items(), key=lambda item: (item[0] != _OURS, item[0]))
    ]
    source = _source({**made, **(figures.get("earlier") or {})}, _SPEED)
    yield f"{made['title']}. Medians, and in brackets the lowest and the highest round. {source}"
    if rows:
        yield table(["training", "rows per second", f"{_OURS} / it"], rows)
    repeats = len(figures["one_row_us"])
    yield f"One row scored by ONNX: {_one_row(figures['one_row_us'])} us, the least of {repeats} repeats."


def _aucs(made: Mapping[str, Any] | None) -> Iterator[str]:
    if made is None:
        return
    found = made["figures"]
    cases = list(next(iter(found.values())))
    rows = [[f"`{name}`", *(_mean_auc(by_case[case]) for case in cases)] for name, by_case in sorted(found.items())]
    yield f"{made['title']}; mean over the seeds, and in brackets the deviation. {_source(made, _AUC)}"
    yield table(["network", *cases], rows)


def _auc_of(name: str, made: Mapping[str, Any] | None) -> Iterator[str]:
    if made is None or name not in made["figures"]:
        return
    rows = [[case, _mean_auc(runs), _finished(runs)] for case, runs in made["figures"][name].items()]
    yield f"{made['title']}; mean over the seeds, and in brackets the deviation. {_source(made, _AUC)}"
    yield table(["rule and batch", "test AUC", "seeds"], rows)


def _median(values: Sequence[float] | None) -> str:
    return f"{statistics.median(values):,.0f}" if values else "-"


def _with_range(values: Sequence[float]) -> str:
    return f"{_median(values)} ({min(values):,.0f} to {max(values):,.0f})" if values else "-"


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Median of the rounds' ratios, as bench-zoo has it."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=False)]
    return f"{statistics.median(ratios):.2f}" if ratios else "-"


def _one_row(values: Sequence[float]) -> str:
    return f"{min(values):,.0f}" if values else "-"


def _finished(runs: Sequence[Mapping[str, Any]]) -> str:
    """How many seeds the mean is of: `3`, or `2 of 3` where one was stopped."""
    finished = sum("metrics" in run for run in runs)
    return str(finished) if finished == len(runs) else f"{finished} of {len(runs)}"


def _mean_auc(runs: Sequence[Mapping[str, Any]]) -> str:
    aucs = [run["metrics"]["test_auc"] for run in runs if "metrics" in run]
    if not aucs:
        return "stopped"
    deviation = f" ({statistics.stdev(aucs):.4f})" if len(aucs) > 1 else ""
    return f"{statistics.mean(aucs):.4f}{deviation}"
