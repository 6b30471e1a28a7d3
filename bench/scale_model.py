"""Expected rows/s and memory on 1, 8 and 64 GPUs, from measured steps of one and published speeds of links.

    python -m bench.scale_model                                      # as `make bench-scale-model`; some seconds

A model (`bench.sharing`), no measurement of several GPUs. The step of one GPU is fitted to bench/results/gpu.json:

    step = fixed + B/N x multiply-adds x rate + passed bytes / memory + sent bytes / link + hops x latency

Nothing overlaps, and every byte of a group goes over its slowest link, so the model is hard on several GPUs.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from bench.plots import COLOURS
from bench.report import RESULTS, Report, Table, write
from bench.sharing import FORMS, Form, Work
from bench.workload import TABLE_ROWS, WIDTH, field_sizes

# Criteo 1 TB with ids beyond 40 million hashed together, as in MLPerf's DLRM (facebookresearch/dlrm, torchrec_dlrm).
_TERABYTE_SIZES = (
    *(40_000_000, 39_060, 17_295, 7_424, 20_265, 3, 7_122, 1_543, 63, 40_000_000, 3_067_956, 405_282, 10),
    *(2_209, 11_938, 155, 4, 976, 14, 40_000_000, 40_000_000, 40_000_000, 590_152, 12_973, 108, 36),
)
_TERABYTE_ROWS = 4_195_197_692  # of days 0 to 22, one epoch
# NVIDIA's data sheet of the H100 SXM: 80 GB at 3.35 TB/s, NVLink 900 GB/s and PCIe 5 128 GB/s, both ways together.
_GPU_BYTES, _MEMORY_BYTES_S = 80e9, 3.35e12
_LINKS = {"NVLink 4": 450e9, "PCIe 5 x16": 64e9, "400 Gb/s": 50e9, "100 Gb/s": 12.5e9}  # bytes/s each way, per GPU
_SETTINGS = [(1, "-"), (8, "NVLink 4"), (8, "PCIe 5 x16"), (8, "100 Gb/s"), (64, "400 Gb/s"), (64, "100 Gb/s")]
_REACHED = 0.7  # assumed: the share of a published speed that a program reaches
_HOP_S = 10e-6  # assumed
_USABLE = 0.9  # assumed: of a GPU's memory, beside activations and batches
_ENOUGH = 0.5
_FEWEST_ROWS = 10_000
_BATCH_SIZES = (8_192, 131_072)

WORKS = {
    f"Criteo, {TABLE_ROWS:,} ids x {WIDTH}": Work(field_sizes(TABLE_ROWS), WIDTH),
    f"Criteo 1 TB, {sum(_TERABYTE_SIZES):,} ids x {WIDTH}": Work(_TERABYTE_SIZES, WIDTH),
    f"Criteo 1 TB, {sum(_TERABYTE_SIZES):,} ids x 128": Work(_TERABYTE_SIZES, 128),
}


@dataclass(frozen=True)
class Speed:
    """Of one GPU: seconds of a step that has no rows and no table, and per multiply-add of a row."""

    fixed_s: float
    multiply_add_s: float

    @classmethod
    def fitted(cls, measured: dict[int, float], work: Work) -> Speed:
        """Through measured rows/s by batch size, by least squares of the relative error."""
        batch = np.array(list(measured), float)
        seconds = batch / np.array(list(measured.values()))
        passed = FORMS["dense all-reduce"](work, 1, 1).passed_bytes / (_MEMORY_BYTES_S * _REACHED)
        terms = np.stack([np.ones_like(batch), batch], axis=1) / seconds[:, np.newaxis]
        (fixed_s, row_s), *_ = np.linalg.lstsq(terms, 1 - passed / seconds, rcond=None)
        return cls(float(fixed_s), float(row_s) / work.multiply_adds)

    def step_s(self, form: Form, work: Work, batch_size: int, gpus: int, link: str) -> float:
        """Seconds of a step of N GPUs."""
        share = form(work, batch_size, gpus)
        seconds = self.fixed_s + batch_size / gpus * work.multiply_adds * self.multiply_add_s
        seconds += share.passed_bytes / (_MEMORY_BYTES_S * _REACHED)
        return seconds if gpus == 1 else seconds + share.sent_bytes / (_LINKS[link] * _REACHED) + share.hops * _HOP_S


def fits(form: Form, work: Work, batch_size: int, gpus: int) -> bool:
    """Whether a GPU can hold its share."""
    return form(work, batch_size, gpus).held_bytes <= _GPU_BYTES * _USABLE


def largest(holds: Callable[[int], bool], most: int = 10**11) -> int:
    """The largest number of table rows, within 1 %, for which something holds that holds for fewer rows."""
    few, many = _FEWEST_ROWS, most
    while many > 1.01 * few:
        middle = int((few * many) ** 0.5)
        few, many = (middle, many) if holds(middle) else (few, middle)
    return few


def main() -> None:
    measured = _measured()
    base = WORKS[next(iter(WORKS))]
    speed = Speed.fitted(measured, base)
    figures = {
        name: {
            f"{batch_size}": {form: _rows_per_s(speed, FORMS[form], work, batch_size) for form in FORMS}
            for batch_size in _BATCH_SIZES
        }
        for name, work in WORKS.items()
    }
    report = Report(
        name="scale_model",
        title="Several GPUs, as a model: three forms of sharing a step",
        tables=[
            _of_the_fit(speed, measured, base),
            *(_of_speed(name, figures[name]) for name in WORKS),
            *(_of_shares(name, work) for name, work in WORKS.items()),
            _of_limits(speed),
        ],
        notes=[
            f"{_REACHED:.0%} of published speeds are assumed to be reached, {_HOP_S * 1e6:.0f} us for a hop, "
            f"{_USABLE:.0%} of {_GPU_BYTES / 1e9:.0f} GB usable. `-`: does not fit.",
            "Exact dense CowClip + L2 + Adam in float32; 26 ids, 13 numbers, MLP [400, 400, 400]; input keeps up.",
            f"An epoch of Criteo 1 TB has {_TERABYTE_ROWS:,} rows.",
        ],
        figures={"fixed_s": speed.fixed_s, "multiply_add_s": speed.multiply_add_s, "rows_per_s": figures},
    )
    write(report, partial(_draw, figures))


def _measured() -> dict[int, float]:
    """Median rows/s of one GPU by batch size."""
    found = json.loads((RESULTS / "gpu.json").read_text(encoding="utf-8"))["figures"]
    return {int(size): statistics.median(of_size["rows_per_s"]["ctrfast"]) for size, of_size in found.items()}


def _rows_per_s(speed: Speed, form: Form, work: Work, batch_size: int) -> list[float | None]:
    return [
        batch_size / speed.step_s(form, work, batch_size, gpus, link) if fits(form, work, batch_size, gpus) else None
        for gpus, link in _SETTINGS
    ]


def _of_the_fit(speed: Speed, measured: dict[int, float], work: Work) -> Table:
    form = FORMS["dense all-reduce"]
    rows = []
    for size, rate in measured.items():
        expected = size / speed.step_s(form, work, size, 1, "-")
        rows.append([f"{size:,}", f"{rate:,.0f}", f"{expected:,.0f}", f"{expected / rate:.2f}"])
    return Table("One GPU: the model beside what was measured", ["batch", "measured rows/s", "model", "ratio"], rows)


def _of_speed(name: str, figures: dict[str, dict[str, list[float | None]]]) -> Table:
    header = ["form, batch", *(f"{gpus} GPUs, {link}" if gpus > 1 else "1 GPU" for gpus, link in _SETTINGS)]
    rows = [
        [f"{form}, {int(size):,}", *("-" if rate is None else f"{rate / 1e6:,.2f}" for rate in rates)]
        for size, forms in figures.items()
        for form, rates in forms.items()
    ]
    return Table(f"{name}: millions of rows/s", header, rows)


def _of_shares(name: str, work: Work) -> Table:
    rows = []
    for batch_size in _BATCH_SIZES:
        for form, share_of in FORMS.items():
            shares = [share_of(work, batch_size, gpus) for gpus in (1, 8, 64)]
            sent = [f"{share.sent_bytes / 2**20:,.1f}" for share in shares[1:]]
            held = [f"{share.held_bytes / 2**30:,.2f}" for share in shares]
            rows.append([f"{form}, {batch_size:,}", *sent, *held])
    header = ["form, batch", "MiB sent, 8", "64", "GiB held, 1", "8", "64"]
    return Table(f"{name}: each GPU of N", header, rows)


def _of_limits(speed: Speed) -> Table:
    """Up to how many ids a table that every GPU has whole costs little speed."""
    cases = [(form, width, size) for form in list(FORMS)[:2] for width in (WIDTH, 128) for size in _BATCH_SIZES]
    rows = []
    for form, width, batch_size in cases:
        limits = [_limit(speed, form, width, batch_size, gpus, link) for gpus, link in _SETTINGS[1:]]
        rows.append([f"{form}, {width}, {batch_size:,}", *map(_millions, limits)])
    header = ["form, width, batch", *(f"{gpus} GPUs, {link}" for gpus, link in _SETTINGS[1:])]
    return Table(
        f"Millions of ids up to which a form reaches {_ENOUGH:.0%} of the rows/s of sharded rows", header, rows
    )


def _millions(rows: int) -> str:
    return f"{rows / 1e6:,.2f}" if rows > _FEWEST_ROWS else f"< {_FEWEST_ROWS / 1e6:,.2f}"


def _limit(speed: Speed, form: str, width: int, batch_size: int, gpus: int, link: str) -> int:
    def is_enough(V: int) -> bool:
        work = Work(field_sizes(V), width)
        own, sharded = (speed.step_s(FORMS[name], work, batch_size, gpus, link) for name in (form, list(FORMS)[-1]))
        return sharded >= _ENOUGH * own and fits(FORMS[form], work, batch_size, gpus)

    return largest(is_enough)


def _draw(figures: dict[str, dict[str, dict[str, list[float | None]]]], axes: Axes) -> None:
    places = range(len(_SETTINGS))
    for number, (name, of_size) in enumerate(figures.items()):
        for style, (form, rates) in zip(("-", "--", ":"), of_size[f"{_BATCH_SIZES[-1]}"].items(), strict=True):
            values = [float("nan") if rate is None else rate for rate in rates]
            axes.plot(places, values, style, marker="o", color=COLOURS[number], label=f"{name}: {form}")
    axes.set_xticks(list(places), [f"{gpus} x {link}" for gpus, link in _SETTINGS])
    axes.set(ylabel=f"rows/s at batch {_BATCH_SIZES[-1]:,}, as a model", yscale="log")
    axes.legend(fontsize=7)


if __name__ == "__main__":
    main()
