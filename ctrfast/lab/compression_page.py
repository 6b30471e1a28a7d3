"""The pictures and the page that `ctrfast sweep --preset compress` leaves in its folder."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ctrfast.data.report.tags import Cell, document, plain, table, text
from ctrfast.folders import new_file, write_file
from ctrfast.lab.compressed_frame import compressed, form_means
from ctrfast.lab.compression_front import COSTS, draw_forms, name_forms, short_widths

PICTURE, PAGE = "front.png", "front.html"
HEAD = (
    "network", "form", "hidden", "epochs", "training, s", "test AUC", "log loss", "calibrated log loss", "weights",
    "1 row, us", "1,000 rows, ms", "MiB", "front",
)  # fmt: skip


def picture_front(forms: pd.DataFrame) -> Figure:
    """AUC against one row's latency, that of 1,000, and size, side by side."""
    figure = Figure(figsize=(16.0, 5.2), layout="constrained")
    panels = figure.subplots(1, len(COSTS), sharey=True)
    for axes, cost in zip(panels, COSTS, strict=True):
        draw_forms(forms, cost, axes)
        axes.get_legend().remove()
    for axes in panels[1:]:
        axes.set_ylabel("")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=8.5, handlelength=3.2)
    for axes, cost in zip(panels, COSTS, strict=True):
        name_forms(forms, cost, axes)
    return figure


def write_front(folder: Path) -> Path:
    """Write picture and page of a comparison into its folder; the page's file.

    Raises:
        DataError: no form has an AUC, or there are more lines than a picture can show.
    """
    forms = compressed(folder)
    figure = picture_front(forms)
    with new_file(folder / PICTURE) as partial:
        figure.savefig(partial, format="png", dpi=120, metadata={"Software": None})
    picture = base64.b64encode((folder / PICTURE).read_bytes()).decode()
    alt = (
        "Test AUC against the latency of one row, of 1,000 rows, and against size. Small networks are named by their "
        "widths, pruned ones by the share of hidden units that they lost; open marks are packed. Rings are on the "
        "front: no other form has a higher AUC at a lower cost. Bars are one standard deviation over the seeds."
    )
    rows: list[list[Cell]] = [[plain(kind), plain(form), *rest] for kind, form, *rest in cells(forms)]
    parts = [
        f'<figure><img style="max-width:none" src="data:image/png;base64,{picture}" alt="{text(alt)}">'
        f"<figcaption>{text(alt)}</figcaption></figure>",
        table("Means over the seeds", HEAD, rows),
        *(f"<p>{text(note)}</p>" for note in notes(forms)),
    ]
    write_file(folder / PAGE, document("Train large, then compress", parts))
    return folder / PAGE


def cells(forms: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """The table as words, a line per form; `-` for what there is not."""
    for row in form_means(forms).to_dict("records"):
        yield (
            f"{row['kind']} {row['network']}",
            row["precision"] if not row["prune"] else f"{row['precision']}, pruned by {row['prune']:g}",
            short_widths(row["hidden"]),
            f"{row['epochs']:,}",
            f"{row['train_s']:,.1f}",
            f"{row['auc']:.4f}" + ("" if pd.isna(row["sd"]) else f" ± {row['sd']:.4f}"),
            f"{row['log_loss']:.4f}",
            f"{row['calibrated_log_loss']:.4f}",
            f"{row['weights']:,.0f}",
            f"{row['row_latency_us']:,.0f}",
            f"{row['thousand_rows_ms']:,.2f}",
            f"{row['model_bytes'] / 2**20:,.2f}",
            "yes" if row["on_front"] else "-",
        )


def notes(forms: pd.DataFrame) -> Iterator[str]:
    """What to know when the table is read."""
    runs = forms.drop_duplicates("run")
    times = runs.groupby("kind")["train_s"].agg(["min", "max"])
    told = ", ".join(f"{kind} {low:,.0f} to {high:,.0f}" for kind, (low, high) in times.iterrows())
    yield f"Seconds of training, with evaluations and compilation: {told}. No training follows the pruning."
    yield (
        "Latencies are medians on one thread, of the forms of one run in turns. The front is that of AUC against one "
        "row's latency; small differences of AUC need several seeds."
    )
