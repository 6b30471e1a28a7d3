"""Versions swapped under load: does a caller notice? `make bench-swap`.

    python -m bench.swap --seconds 60 --every 2

Impressions come by a Poisson process at half of what the service can take (`bench.load`), first undisturbed, then while
the alias `latest` is moved to the other of two loaded versions every few seconds. Every answer must be of one version:
all its scores equal that version's to 1e-6, and its X-Model-Version header names it. Exit code 1 where a request fails
or an answer is mixed.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.load_plan import Figures, Plan, measure_answered
from bench.plots import bars
from bench.report import Report, Table, write
from bench.serve_bodies import last_rows
from bench.serve_cases import OPEN_SHARE
from bench.serving_model import NAME, ROWS, TEST_FRACTION, Service, ServingModel, api, make_model
from bench.turns import SystemFailedError
from ctrfast.client import Client
from ctrfast.errors import CtrFastError

GOAL = 1.5  # times the undisturbed p99
_EXACT = 1e-6  # a few units in the last place of a probability: a row scores alike alone and in a batch up to that
_APART = 1e-4  # least difference between the versions' scores of a row
_SIZE = 4  # impressions per request: enough to see a mixture within an answer
_BODIES = 200
_SATURATION_S = 5.0  # to find out what the service can take
_OPEN_CONNECTIONS, _CLOSED_CONNECTIONS = 64, 32
_QUANTILES = ("p50_ms", "p99_ms", "p99_9_ms")

Scores = Mapping[int, Sequence[Sequence[float]]]  # version -> by body


@dataclass(frozen=True)
class Verdict:
    """Answers by the version whose scores they hold; mixed: those of no version, or of another than they name."""

    of_version: dict[int, int]
    mixed: int
    example: str | None


@dataclass(frozen=True)
class Measured:
    """One load. alias_moves_s: how long each move of the alias took."""

    figures: Figures
    verdict: Verdict
    alias_moves_s: list[float]


def judge(lines: Sequence[Mapping[str, object]], expected: Scores) -> Verdict:
    """Look at every distinct answer that the generator kept.

    Args:
        lines: `body`, `version`, `answer`, `count`, as `bench.load --answers` writes them.
        expected: the scores of each body by each version.
    """
    of_version: Counter[int] = Counter()
    mixed, example = 0, None
    for line in lines:
        scores = json.loads(line["answer"])["predictions"]
        held = [
            version
            for version, by_body in expected.items()
            if len(scores) == len(by_body[line["body"]])
            and np.allclose(scores, by_body[line["body"]], rtol=0, atol=_EXACT)
        ]
        if [str(version) for version in held] == [line["version"]]:
            of_version[held[0]] += line["count"]
        else:
            mixed += line["count"]
            example = example or f"body {line['body']}: X-Model-Version {line['version']!r}, scores of {held or 'none'}"
    return Verdict(dict(of_version), mixed, example)


def expected_scores(client: Client, raw: Path, rows: int, versions: Sequence[int]) -> tuple[list[str], Scores]:
    """Bodies of rows that the versions score differently, each of them, and the scores by version.

    Raises:
        SystemFailedError: too few rows have scores so far apart.
    """
    held_out = last_rows(raw, min(rows, 2 * _BODIES * _SIZE))
    by_version = {version: np.array(client.predict(NAME, held_out, version=version)) for version in versions}
    scores = np.array(list(by_version.values()))  # (versions, R)
    apart = np.flatnonzero(np.ptp(scores, axis=0) > _APART)
    if len(apart) < _BODIES * _SIZE:
        raise SystemFailedError(f"Only {len(apart)} of {len(held_out)} rows tell the versions apart. Train them again.")
    groups = apart[: _BODIES * _SIZE].reshape(_BODIES, _SIZE)
    bodies = [json.dumps({"instances": [held_out[row] for row in group]}) for group in groups]
    return bodies, {version: [found[group].tolist() for group in groups] for version, found in by_version.items()}


def under_load(plan: Plan, expected: Scores, move: Callable[[int], None] | None, every_s: float) -> Measured:
    """Run the load; meanwhile call `move` with 0, 1, 2, ... every few seconds."""
    moves_s: list[float] = []
    is_over = threading.Event()

    def keep_moving() -> None:
        while move is not None and not is_over.wait(every_s):
            started = time.perf_counter()
            move(len(moves_s))
            moves_s.append(time.perf_counter() - started)

    with ThreadPoolExecutor(1) as pool:
        moving = pool.submit(keep_moving)
        try:
            figures = measure_answered(plan)
        finally:
            is_over.set()
        moving.result()
    with plan.answers.open(encoding="utf-8") as file:
        verdict = judge([json.loads(line) for line in file], expected)
    return Measured(figures, verdict, moves_s)


def compare(service: Service, made: ServingModel, folder: Path, seconds: float, every_s: float) -> dict[str, Measured]:
    """The undisturbed load, then the one with swaps.

    Raises:
        SystemFailedError, CtrFastError: the service does not answer.
    """
    with Client(service.url, service.key) as client:
        bodies, expected = expected_scores(client, made.raw, int(made.rows * TEST_FRACTION), made.versions)
        file = folder / "bodies.jsonl"
        file.write_text("\n".join(bodies) + "\n", encoding="utf-8")
        url = f"{service.url}/v1/models/{NAME}:predict"
        closed = Plan(url, file, _CLOSED_CONNECTIONS, min(_SATURATION_S, seconds), 1.0, headers=(service.header,))
        rate = OPEN_SHARE * measure_answered(closed).requests_per_s
        answers = folder / "answers.jsonl"
        plan = replace(closed, connections=_OPEN_CONNECTIONS, seconds=seconds, rate=rate, answers=answers)

        def swap(number: int) -> None:
            client.set_alias(NAME, "latest", made.versions[number % len(made.versions)])

        return {
            "undisturbed": under_load(plan, expected, None, every_s),
            f"swapped every {every_s:g} s": under_load(plan, expected, swap, every_s),
        }


def report(measured: Mapping[str, Measured], ids: int) -> Report:
    """One table, and what is wrong."""
    quiet, swapped = measured.values()
    header = ["load", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "longest ms", "errors", "mixed", "by version"]
    rows = [
        [
            name,
            f"{found.figures.requests_per_s:,.0f}",
            *(f"{getattr(found.figures, quantile):.1f}" for quantile in (*_QUANTILES, "max_ms")),
            f"{found.figures.errors:,}",
            f"{found.verdict.mixed:,}",
            ", ".join(f"{version}: {count:,}" for version, count in sorted(found.verdict.of_version.items())),
        ]
        for name, found in measured.items()
    ]
    ratio = swapped.figures.p99_ms / quiet.figures.p99_ms
    notes = [
        f"p99 with swaps / undisturbed: {ratio:.2f} (goal: at most {GOAL}).",
        f"{len(swapped.alias_moves_s)} swaps in {swapped.figures.seconds:g} s; the longest took "
        f"{1e3 * max(swapped.alias_moves_s, default=0):.0f} ms to be answered.",
        f"Poisson load of {swapped.figures.rate:,.0f} requests/s, {OPEN_SHARE:.0%} of what {_CLOSED_CONNECTIONS} "
        f"connections got in a closed loop; {_SIZE} impressions each; latencies count from when a request was due.",
        f"Every answer is looked at: its scores are one version's to {_EXACT:g} (the versions' scores of each row are "
        f"more than {_APART:g} apart), and X-Model-Version names it; else it is mixed.",
        *(f"MIXED: {found.verdict.example}" for found in measured.values() if found.verdict.mixed),
        *(
            f"FAILED: {found.figures.error_kinds}: {found.figures.first_error}"
            for found in measured.values()
            if found.figures.errors
        ),
    ]
    return Report(
        name="swap",
        title=f"Versions swapped under load: DeepFM, {ids:,} ids",
        tables=[Table("Poisson load", header, rows)],
        notes=notes,
        figures={name: asdict(found) for name, found in measured.items()},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each of the two loads")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two swaps")
    parser.add_argument("--rows", type=int, default=ROWS, help="impressions that the model is made from")
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the model is made and kept")
    given = parser.parse_args()
    try:
        made = make_model(given.data, given.rows)
        with TemporaryDirectory(dir=given.data) as folder, api(made) as service:
            measured = compare(service, made, Path(folder), given.seconds, given.every)
    except (SystemFailedError, CtrFastError) as error:
        raise SystemExit(str(error)) from None
    latencies = {
        name: [[getattr(found.figures, quantile)] for quantile in _QUANTILES] for name, found in measured.items()
    }
    write(report(measured, made.ids), bars(["p50", "p99", "p99.9"], latencies, "milliseconds"))
    if any(found.figures.errors or found.verdict.mixed for found in measured.values()):
        raise SystemExit("A request failed, or an answer is mixed: see the notes above.")


if __name__ == "__main__":
    main()
