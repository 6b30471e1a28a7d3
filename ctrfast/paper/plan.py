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
from ctrfast.paper.gpu_time import BASIS as GPU_BASIS
from ctrfast.paper.gpu_time import gpu_seconds
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
    """config: of the sweep. left_out: batch sizes that the data is too small for.

    peak_bytes, low_s, high_s: on this machine's CPU. gpu_bytes, gpu_host_bytes: on a GPU, and beside it. gpu_s: on the
    GPU that was measured; None where it was not at these batch sizes.
    """

    scale: str
    config: SweepConfig
    runs: int
    left_out: tuple[int, ...]
    peak_bytes: int
    low_s: float
    high_s: float
    gpu_bytes: int
    gpu_host_bytes: int
    gpu_s: float | None

    def lines(self) -> Iterator[str]:
        """What will be done, to read."""
        sizes = self.config.grid["batch_size"]
        shown = sizes if isinstance(sizes, list) else []
        yield f"{self.runs} runs: {', '.join(NETWORKS)} x batch sizes {', '.join(f'{size:,}' for size in shown)}"
        if self.left_out:
            yield f"left out, as too few steps an epoch remain: {', '.join(f'{size:,}' for size in self.left_out)}"
        yield f"memory for training on CPU: at most about {_gib(self.peak_bytes)}"
        yield f"time for training on CPU: {_time(self.low_s)} to {_time(self.high_s)}. {BASIS}"
        told = f"at most about {_gib(self.gpu_bytes)}, and {_gib(self.gpu_host_bytes)} of the machine's"
        yield f"memory for training on a GPU: {told}"
        if self.gpu_s is not None:
            yield f"time for training on a GPU: about {_time(self.gpu_s)}. {GPU_BASIS}"


def _gib(size: int) -> str:
    return f"{size / 2**30:,.2f} GiB"


def _time(seconds: float) -> timedelta:
    return timedelta(seconds=round(seconds))


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
    configs, speed = [point.config for point in sweep_points(config)], measure_speed()
    times = [estimate_time(dataset, each, speed) for each in configs]
    on_cpu = [estimate(dataset.fitted, each, train_rows=rows) for each in configs]
    on_gpu = [estimate(dataset.fitted, each, train_rows=rows, on_gpu=True) for each in configs]
    return PaperPlan(
        scale=scale,
        config=config,
        runs=len(configs),
        left_out=left_out,
        peak_bytes=max(needs.total_bytes for needs in on_cpu),
        low_s=sum(time.low_s for time in times),
        high_s=sum(time.high_s for time in times),
        gpu_bytes=max(needs.device_bytes for needs in on_gpu),
        gpu_host_bytes=max(needs.host_bytes for needs in on_gpu),
        gpu_s=gpu_seconds(configs, rows),
    )
