"""Frames as `ctrfast.lab.runs` and `curves` make them, of figures that are easy to compute by hand."""

from __future__ import annotations

import pandas as pd

BASE = 128


def run_rows(rules=("none", "cowclip"), sizes=(128, 1024), seeds=(1, 2, 3), **settings) -> pd.DataFrame:
    """A run for each rule, batch size and seed; AUC falls with the batch and rises with the seed."""
    rows = []
    for number, rule in enumerate(rules):
        for size in sizes:
            for seed in seeds:
                rows.append(
                    {
                        "name": f"{rule}-{size}-{seed}",
                        "folder": f"runs/{rule}-{size}-{seed}",
                        "state": "succeeded",
                        "dataset": "d" * 64,
                        "scaling.rule": rule,
                        "batch_size": size,
                        "seed": seed,
                        "plan.scale": size / BASE,
                        "test_auc": 0.8 - 0.01 * number - size / 1e6 + 0.001 * seed,
                        "seconds": 1000.0 / size * seed,
                        "epoch_s": 100.0 / size * seed,
                        **settings,
                    }
                )
    return pd.DataFrame(rows)


def curve_rows(rules=("none",), seeds=(1, 2), size=128, fields=("a", "b")) -> pd.DataFrame:
    """Two training records and one evaluation per epoch of two steps, for two epochs."""
    rows = []
    for rule in rules:
        for seed in seeds:
            about = {
                "name": f"{rule}-{seed}",
                "folder": f"runs/{rule}-{seed}-{size}",
                "dataset": "d",
                "batch_size": size,
            }
            about |= {"scaling.rule": rule, "seed": seed}
            for step in range(1, 5):
                shares = {f"clipped_share.{field}": 0.1 * step * (n + 1) for n, field in enumerate(fields)}
                train = {"kind": "train", "loss": 1.0 / step + 0.1 * seed, "clipped_share": 0.15 * step}
                rows.append({**about, "step": step, "epoch": step / 2, "train_s": 10.0 * step, **train, **shares})
                if step % 2 == 0:
                    norms = {f"embedding_norm.{field}": step + seed + n for n, field in enumerate(fields)}
                    seen = {"kind": "evaluation", "split": "valid", "auc": 0.6 + 0.05 * step + 0.01 * seed}
                    rows.append(
                        {**about, "step": step, "epoch": step / 2, "train_s": 10.0 * step * seed, **seen, **norms}
                    )
    return pd.DataFrame(rows)


def drawn(axes) -> dict[str, tuple[list[float], list[float]]]:
    """Line label -> its x and y, as drawn, of the lines in the legend."""
    handles, labels = axes.get_legend_handles_labels()
    lines = [handle.lines[0] if hasattr(handle, "lines") else handle for handle in handles]
    return {
        label: (list(map(float, line.get_xdata())), list(map(float, line.get_ydata())))
        for label, line in zip(labels, lines, strict=True)
    }


def whiskers(axes) -> list[list[tuple[float, float]]]:
    """Per line with error bars: the ends (low, high) of each bar along y."""
    return [
        [(float(low[1]), float(high[1])) for low, high in container[2][-1].get_segments()]
        for container in axes.containers
    ]


def texts(axes) -> str:
    """Title, axis labels and legend in one text."""
    legend = axes.get_legend()
    words = [] if legend is None else [each.get_text() for each in legend.get_texts()]
    return "\n".join([axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), *words])


def marks(axes) -> list[tuple[str, str]]:
    """Marker and dashes of each line in the legend that has a marker: what sets it apart without colour."""
    handles, _ = axes.get_legend_handles_labels()
    lines = [handle.lines[0] if hasattr(handle, "lines") else handle for handle in handles]
    return [(str(line.get_marker()), str(line.get_linestyle())) for line in lines if line.get_marker() != "None"]
