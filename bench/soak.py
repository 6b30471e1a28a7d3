"""Does the service's memory grow with the requests that it has answered? `make bench-soak`.

    python -m bench.soak --requests 200000 --every 10000

One impression per request, closed loop. After every 10,000 requests the resident memory of the service is read, and a
line is fitted to what was read after the first fifth, which fills caches and pools.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.axes import Axes

from bench.load_plan import Plan, measure_answered
from bench.plots import COLOURS
from bench.report import Report, Table, write
from bench.serve_bodies import body_file, write_bodies
from bench.serving_model import NAME, ROWS, TEST_FRACTION, Service, api, make_model
from bench.turns import SystemFailedError
from ctrfast.errors import CtrFastError

_CONNECTIONS = 8
_FIRST_S = 1.0  # of the first load, which tells how long the others must be
_SETTLED = 0.2  # share of the requests before the line
_MIB = 2**20


@dataclass(frozen=True)
class Line:
    """slope: bytes per request, with half the width of its 95 % interval (normal)."""

    slope: float
    margin: float


@dataclass(frozen=True)
class Soaked:
    """requests: answered so far; resident_bytes: then. errors: of all."""

    requests: list[int]
    resident_bytes: list[int]
    errors: int


def soak(service: Service, bodies: Path, requests: int, every: int) -> Soaked:
    """Ask until so many requests are answered.

    Raises:
        SystemFailedError: the service does not answer.
    """
    url = f"{service.url}/v1/models/{NAME}:predict"
    counts, sizes, answered, errors, seconds = [0], [service.server.resident_bytes()], 0, 0, _FIRST_S
    while answered < requests:
        figures = measure_answered(Plan(url, bodies, _CONNECTIONS, seconds, warm_up_s=0.0, headers=(service.header,)))
        answered += figures.requests
        errors += figures.errors
        counts.append(answered)
        sizes.append(service.server.resident_bytes())
        seconds = every / (figures.requests / seconds)
    return Soaked(counts, sizes, errors)


def fit(requests: Sequence[int], sizes: Sequence[int]) -> Line:
    """The least-squares line through the points after the first fifth of the requests."""
    settled = np.asarray(requests) >= _SETTLED * requests[-1]
    x, y = np.asarray(requests, float)[settled], np.asarray(sizes, float)[settled]
    x -= x.mean()
    slope = float(x @ y / (x @ x))
    residuals = y - y.mean() - slope * x
    deviation = float(np.sqrt(residuals @ residuals / max(len(x) - 2, 1) / (x @ x)))
    return Line(slope, 1.96 * deviation)


def report(soaked: Soaked, line: Line, ids: int) -> Report:
    """One table: memory over requests."""
    rows = [
        [f"{requests:,}", f"{size / _MIB:.1f}"]
        for requests, size in zip(soaked.requests, soaked.resident_bytes, strict=True)
    ]
    total = soaked.requests[-1]
    return Report(
        name="soak",
        title=f"Memory of the service over {total:,} requests: DeepFM, {ids:,} ids",
        tables=[Table("Resident memory", ["requests answered", "MiB"], rows)],
        notes=[
            f"Slope after the first {_SETTLED:.0%}: {line.slope:+.2f} bytes per request (95 %: ± {line.margin:.2f}), "
            f"{line.slope * total / _MIB:+.2f} MiB in {total:,} requests.",
            f"{soaked.errors:,} requests failed. {_CONNECTIONS} connections, 1 impression per request.",
        ],
        figures={
            "requests": soaked.requests,
            "resident_bytes": soaked.resident_bytes,
            "errors": soaked.errors,
            "slope_bytes_per_request": line.slope,
            "margin_bytes_per_request": line.margin,
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--every", type=int, default=10_000, help="requests between two looks, about")
    parser.add_argument("--rows", type=int, default=ROWS, help="impressions that the model is made from")
    parser.add_argument("--data", type=Path, default=Path("build/bench"), help="where the model is made and kept")
    given = parser.parse_args()
    if not 1 <= given.every <= given.requests / 10:
        parser.error("`--every` must be at least 1 and at most a tenth of `--requests`: a line needs points.")
    try:
        made = make_model(given.data, given.rows)
        with TemporaryDirectory(dir=given.data) as folder, api(made) as service:
            write_bodies(made.raw, int(given.rows * TEST_FRACTION), Path(folder))
            soaked = soak(service, Path(folder) / body_file("instances", 1), given.requests, given.every)
    except (SystemFailedError, CtrFastError) as error:
        raise SystemExit(str(error)) from None

    def draw(axes: Axes) -> None:
        axes.plot(soaked.requests, [size / _MIB for size in soaked.resident_bytes], "o-", color=COLOURS[0])
        axes.set(xlabel="requests answered", ylabel="resident MiB", ylim=(0, None))
        axes.xaxis.set_major_formatter("{x:,.0f}")

    write(report(soaked, fit(soaked.requests, soaked.resident_bytes), made.ids), draw)


if __name__ == "__main__":
    main()
