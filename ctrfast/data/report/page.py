"""The data report as one HTML file: nothing is loaded from elsewhere, no script runs, light and dark pages, print.

Each picture has the table of its figures beneath it. Whatever comes from data (names of fields, values, times) goes
through `tags.text`, which escapes it.

    write_file(Path("report.html"), page(report))
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ctrfast.data.report.contents import DataReport, DataWarning, FieldReport, IdFieldReport
from ctrfast.data.report.drift import LARGE, SOME
from ctrfast.data.report.pictures import draw_pictures
from ctrfast.data.report.svg import Picture, figure_tag
from ctrfast.data.report.tags import Cell, details, document, plain, table, text
from ctrfast.schema import SPLITS

_TITLES = {
    "label_rate": "Label rate",
    "empty_split": "Empty split",
    "rejected_rows": "Rejected rows",
    "repeated_rows": "Rows of train in another split",
    "table_share": "One field fills the table",
    "one_value": "One value only",
    "row_id": "A value per row",
    "leak": "Tells the label",
    "unseen": "Unseen values",
    "drift": "Drift",
    "constant_number": "Constant",
    "missing_number": "Missing",
}
_MOST_RANKS = 20  # of a field in the table; the JSON has all


def page(report: DataReport) -> str:
    """The whole page."""
    pictures = draw_pictures(report)
    parts = [
        _summary(report),
        _warnings(report.warnings),
        _labels(report, pictures),
        _id_fields(report, pictures),
        _numeric_fields(report),
        _drift(report, pictures),
        _table_size(report, pictures),
        _repeats(report),
    ]
    about = f", dataset <code>{text(report.dataset_hash)}</code>"
    return document(f"Data report: {report.schema_name}", parts, about=about)


def _summary(report: DataReport) -> str:
    rows: list[list[Cell]] = [
        [split, _count(report.rows[split]), _share(report.label_rate[split], 2)] for split in SPLITS
    ]
    rows.append(["all", _count(sum(report.rows.values())), ""])
    kept = f" Of its rows with label 0, train keeps {_share(report.negative_rate, 2)}; models correct for it."
    note = kept if report.negative_rate != 1 else ""
    rates: list[list[Cell]] = [
        [split, plain(name), _share(rate, 2)]
        for split, by_label in report.label_rates.items()
        for name, rate in by_label.items()
    ]
    head = ("split", "label", "rate")
    of_labels = table("Rates by label, of the rows where it is known", head, rates) if rates else ""
    rejected = ", ".join(f"{text(reason)} {count:,}" for reason, count in report.rejected.items()) or "none"
    return (
        table("Rows by split", ("split", "rows", "label rate"), rows)
        + of_labels
        + f"<p>Fields: {len(report.id_fields)} id, {len(report.numeric_fields)} numeric. "
        f"{_size(report.dataset_bytes)} on disk. Rejected rows: {rejected}.{note}</p>"
    )


def _warnings(warnings: Sequence[DataWarning]) -> str:
    if not warnings:
        return "<section><h2>Warnings</h2><p>None.</p></section>"
    order = list(dict.fromkeys(warning.code for warning in warnings))
    ordered = sorted(warnings, key=lambda warning: (order.index(warning.code), warning.remedy))
    parts = []
    for (code, remedy), found in groupby(ordered, key=lambda warning: (warning.code, warning.remedy)):
        items = "".join(f"<li>{_named(warning)}</li>" for warning in found)
        parts.append(f'<div class="warning"><h3>{text(_TITLES[code])}</h3><ul>{items}</ul><p>{text(remedy)}</p></div>')
    return f"<section><h2>Warnings ({len(warnings)})</h2>{''.join(parts)}</section>"


def _named(warning: DataWarning) -> str:
    return text(warning.what) if warning.field is None else f"<b>{text(warning.field)}</b>: {text(warning.what)}"


def _labels(report: DataReport, pictures: dict[str, Picture]) -> str:
    head = ("split", "from row", "rows", "label rate")
    rows: list[list[Cell]] = [
        [split, _count(part.first_row), _count(part.rows), _share(part.positives / part.rows, 2)]
        for split in SPLITS
        for part in report.label_slices[split]
    ]
    over_time = ""
    if report.timeline:
        points: list[list[Cell]] = [
            [plain(point.start), _count(point.rows), _share(point.positives / point.rows, 2) if point.rows else "-"]
            for point in report.timeline
        ]
        over_time = figure_tag(
            pictures["timeline"],
            "Label rate and rows over time, all splits.",
            details("Figures over time", table("Label rate over time", ("from", "rows", "label rate"), points)),
        )
    over_rows = figure_tag(
        pictures["slices"],
        "Label rate of equal slices of each split, in the order of its rows; fewer slices where rows are few.",
        details("Figures by slice", table("Label rate over the order of rows", head, rows)),
    )
    return f"<section><h2>Label rate</h2>{over_rows}{over_time}</section>"


def _id_fields(report: DataReport, pictures: dict[str, Picture]) -> str:
    splits = _splits(report)
    head = (
        *("field", "kept values", "most frequent", "its share", "top 10", "top 100"),
        *(f"missing {split}" for split in splits),
        *("unseen expected", *(f"unseen {split}" for split in splits), "AUC alone"),
    )
    rows: list[list[Cell]] = [
        [
            *(plain(field.name), _count(field.values), plain(field.top_value or "-")),
            *(_share(share) for share in (field.top_share, field.top10_share, field.top100_share)),
            *(_share(field.missing_share[split]) for split in splits),
            *(_share(field.unseen_expected), *(_share(field.unseen_share[split]) for split in splits)),
            "-" if field.label_auc is None else f"{field.label_auc:.3f}",
        ]
        for field in report.id_fields
    ]
    unseen = ""
    if "unseen" in pictures:
        shown: list[list[Cell]] = [
            [plain(field.name), _share(field.unseen_expected), *(_share(field.unseen_share[s]) for s in splits[1:])]
            for field in report.id_fields
        ]
        caption = "Unseen values by field, at most the 20 highest. Expected: in new rows that are drawn as train was."
        names = ("field", "expected", *splits[1:])
        unseen = figure_tag(pictures["unseen"], caption, details("All fields", table("Unseen values", names, shown)))
    frequencies = figure_tag(
        pictures["frequencies"],
        "Zipf plot, occurrences by rank in train: the largest fields in colour, the others faint.",
        details("Figures by rank", *(_ranks(field) for field in report.id_fields)),
    )
    note = (
        "<p>Unseen counts values that are absent from train or rarer there than min_count. AUC alone is that of the "
        "field's label rates, those of one half of train for the other; near 1 means that it knows the label.</p>"
    )
    return f"<section><h2>Id fields</h2>{note}{table('Id fields', head, rows)}{frequencies}{unseen}</section>"


def _ranks(field: IdFieldReport) -> str:
    """The first ranks, then ever fewer, and the last."""
    step = max(1, -(-len(field.frequencies) // _MOST_RANKS))
    points = field.frequencies[::step]
    points = points if not points or points[-1] == field.frequencies[-1] else (*points, field.frequencies[-1])
    rows: list[list[Cell]] = [[_count(rank), _count(count)] for rank, count in points]
    return table(field.name, ("rank", "occurrences"), rows) if rows else ""


def _numeric_fields(report: DataReport) -> str:
    if not report.numeric_fields:
        return ""
    splits = _splits(report)
    head = ("field", "transform", "mean", "deviation", *(f"missing {split}" for split in splits), "AUC alone")
    rows: list[list[Cell]] = [
        [
            *(plain(field.name), field.transform, f"{field.mean:,.4g}", f"{field.std:,.4g}"),
            *(_share(field.missing_share[split]) for split in splits),
            "-" if field.label_auc is None else f"{field.label_auc:.3f}",
        ]
        for field in report.numeric_fields
    ]
    note = "<p>Mean and deviation are those of the training split after the transform.</p>"
    return f"<section><h2>Numeric fields</h2>{note}{table('Numeric fields', head, rows)}</section>"


def _drift(report: DataReport, pictures: dict[str, Picture]) -> str:
    if "drift" not in pictures:
        return ""
    splits = _splits(report)[1:]
    fields: tuple[FieldReport, ...] = (*report.numeric_fields, *report.id_fields)
    head = ("field", *(name for split in splits for name in (f"train to {split}", f"chance {split}")))
    rows: list[list[Cell]] = [
        [plain(field.name), *(f"{of[split]:.4f}" for split in splits for of in (field.psi, field.psi_chance))]
        for field in fields
    ]
    note = (
        f"<p>Population stability index: below {SOME} no drift to speak of, {SOME} to {LARGE} some, above {LARGE} the "
        "field is another one. Chance alone stays below the bar in 999 of 1,000 cases.</p>"
    )
    caption = "Drift of each field against train, at most the 20 highest."
    figure = figure_tag(
        pictures["drift"], caption, details("All fields", table("Population stability index", head, rows))
    )
    return f"<section><h2>Drift between splits</h2>{note}{figure}</section>"


def _table_size(report: DataReport, pictures: dict[str, Picture]) -> str:
    head = ("field", "rows", "weights", "with Adam's moments", "share of the table")
    rows: list[list[Cell]] = [
        [
            *(plain(field.name), _count(field.table_rows), _size(field.table_bytes), _size(field.training_bytes)),
            _share(field.table_bytes / report.table_bytes),
        ]
        for field in report.id_fields
    ]
    total = ["all", _count(report.table_rows), _size(report.table_bytes), _size(report.training_bytes), _share(1.0)]
    rows.append([*total])
    note = (
        f"<p>{_count(report.table_rows)} rows: {_size(report.table_bytes)} of weights at D = {report.embedding_dim}, "
        f"{_size(report.training_bytes)} while Adam trains.</p>"
    )
    caption = "The ten largest fields, and their share of the table."
    figure = figure_tag(
        pictures["largest"], caption, details("All fields", table("Embedding table by field", head, rows))
    )
    return f"<section><h2>Embedding table</h2>{note}{figure}</section>"


def _repeats(report: DataReport) -> str:
    rows: list[list[Cell]] = [
        [split, _count(of.checked), _count(of.rows), _share(of.share, 3), "the first" if of.capped else "all"]
        for split, of in report.repeated.items()
        if report.rows[split]
    ]
    if not rows:
        return ""
    head = ("split", "rows looked up", "also in train", "share", "which")
    note = "<p>Rows alike in label and all inputs, as a model sees them after encoding.</p>"
    return f"<section><h2>Rows of train in other splits</h2>{note}{table('Repeated rows', head, rows)}</section>"


def _splits(report: DataReport) -> list[str]:
    """Train, and the others that have rows."""
    return [split for split in SPLITS if split == "train" or report.rows[split]]


def _count(count: int) -> str:
    return f"{count:,}"


def _share(share: float, decimals: int = 1) -> str:
    return f"{share:.{decimals}%}"


def _size(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"
