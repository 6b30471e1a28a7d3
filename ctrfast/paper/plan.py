"""Which runs a scale has, and what they will need.

| scale  | networks | batch sizes                                | epochs | data                                  |
| tiny   | all four | 128 and 512, small networks                | 1      | clicks made for it, or any            |
| sample | all four | 1 K to 128 K with four steps an epoch left | 3      | any                                   |
| full   | all four | 1 K to 128 K                               | 10     | a whole set, as the paper had it      |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.data.synth import synth
from ctrfast.errors import ConfigError, unknown_name
from ctrfast.memory import estimate
from ctrfast.optim.published import BATCH_SIZES, EPOCHS, NETWORKS
from ctrfast.preflight.training_time import BASIS, estimate_time, measure_speed
from ctrfast.schema import preset
from ctrfast.sweep.grid import SweepConfig, sweep_points

_LEAST_STEPS = 4  # of an epoch
_CLICKS = 8000  # made for `tiny`


@dataclass(frozen=True)
class Scale:
    """batch_sizes: those tried where the data allows. base: settings of all runs. all_sizes: none may be left out."""

    batch_sizes: tuple[int, ...]
    base: Mapping[str, Any]
    all_sizes: bool = False


SCALES: dict[str, Scale] = {
    "tiny": Scale(
        (128, 512),
        {
            "epochs": 1,
            "model": {"embedding_dim": 4, "hidden": [16, 8]},
            "optimizer": {"lr_dense": 0.02, "lr_embed": 0.02},
            "scaling": {"rule": "cowclip", "base_batch_size": 128},
        },
    ),
    "sample": Scale(BATCH_SIZES, {"epochs": 3, "scaling": {"rule": "cowclip"}}),
    "full": Scale(BATCH_SIZES, {"epochs": EPOCHS, "scaling": {"rule": "cowclip"}}, all_sizes=True),
}


@dataclass(frozen=True)
class PaperPlan:
    """config: of the sweep. left_out: batch sizes that the data is too small for. low_s, high_s: time on this CPU."""

    scale: str
    config: SweepConfig
    runs: int
    left_out: tuple[int, ...]
    peak_bytes: int
    low_s: float
    high_s: float

    def lines(self) -> Iterator[str]:
        """What will be done, to read."""
        sizes = self.config.grid["batch_size"]
        shown = sizes if isinstance(sizes, list) else []
        yield f"{self.runs} runs: {', '.join(NETWORKS)} x batch sizes {', '.join(f'{size:,}' for size in shown)}"
        if self.left_out:
            yield f"left out, as too few steps an epoch remain: {', '.join(f'{size:,}' for size in self.left_out)}"
        low, high = (timedelta(seconds=round(seconds)) for seconds in (self.low_s, self.high_s))
        yield f"memory for training on CPU: at most about {self.peak_bytes / 2**30:,.2f} GiB"
        yield f"time for training on CPU: {low} to {high}. {BASIS}"


def paper_dataset(data: Path | None, scale: str, out: Path) -> Dataset:
    """The dataset to run on; where none is named, `tiny` makes one beside `out`.

    Raises:
        ConfigError: the scale is unknown, or needs a dataset.
    """
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES, path="scale")
    if data is not None:
        return Dataset.open(data)
    if scale != "tiny":
        raise ConfigError(f"The scale {scale} needs a dataset. Give --dataset.", path="dataset")
    made = out.parent / f"{out.name}-data"
    if not made.exists():
        raw = out.parent / f"{out.name}-clicks.tsv.gz"
        if not raw.exists():  # a table that was broken off goes on
            synth(raw, "criteo", _CLICKS, 1)
        prepare([raw], preset("criteo"), made, min_count=2, split="sequential")
    return Dataset.open(made)


def plan_table(dataset: Dataset, scale: str) -> PaperPlan:
    """The runs of a scale on a dataset.

    Raises:
        ConfigError: the training split has too few rows.
    """
    chosen, rows = SCALES[scale], dataset.rows("train")
    sizes = [size for size in chosen.batch_sizes if rows >= _LEAST_STEPS * size]
    left_out = tuple(size for size in chosen.batch_sizes if size not in sizes)
    needed = _LEAST_STEPS * (max if chosen.all_sizes else min)(chosen.batch_sizes)
    if rows < needed:
        raise ConfigError(
            f"The scale {scale} needs at least {needed:,} training rows. Got {rows:,}. "
            f"{'Choose the scale sample.' if scale == 'full' else 'Prepare more rows.'}",
            path="scale",
        )
    config = SweepConfig(base=dict(chosen.base), grid={"model.name": list(NETWORKS), "batch_size": sizes})
    points, speed = sweep_points(config), measure_speed()
    times = [estimate_time(dataset, point.config, speed) for point in points]
    memory = [estimate(dataset.fitted, point.config, train_rows=rows).total_bytes for point in points]
    low_s, high_s = (sum(values) for values in zip(*((of.low_s, of.high_s) for of in times), strict=True))
    return PaperPlan(scale, config, len(points), left_out, max(memory), low_s, high_s)
