"""What to look at before training, each with the figure that was measured and a remedy.

| code | when |
| --- | --- |
| `label_rate` | the label rate of a split is 0, 1 or below 0.1 % |
| `empty_split` | a split has no rows |
| `rejected_rows` | more than 1 % of the raw rows could not be used |
| `repeated_rows` | more than 0.1 % of a split's rows occur in the training split too |
| `table_share` | one of several fields holds more than half of a table of at least 16 MiB |
| `one_value` | a field has the same value in all training rows |
| `row_id` | a field keeps more values than half its training rows |
| `leak` | a field alone tells the label with an AUC above 0.95 |
| `unseen` | more than 20 % of a split's values are unseen |
| `drift` | PSI above 0.25, and above what chance explains |
| `constant_number`, `missing_number` | a numeric field does not vary, or is missing in more than 95 % of rows |

    find_warnings(report)        # of the dataset first, then by field in the schema's order
"""

from __future__ import annotations

from collections.abc import Iterator

from ctrfast.data.report.contents import DataReport, DataWarning, IdFieldReport, NumericFieldReport
from ctrfast.data.report.drift import LARGE
from ctrfast.data.unseen import unseen_warning
from ctrfast.schema import SPLITS

LOW_LABEL_RATE = 0.001
REJECTED_SHARE = 0.01
REPEATED_SHARE = 0.001
TABLE_SHARE = 0.5
TABLE_BYTES = 16 * 2**20
ROW_ID_SHARE = 0.5
LEAK_AUC = 0.95
MISSING_SHARE = 0.95


def find_warnings(report: DataReport) -> tuple[DataWarning, ...]:
    """All warnings of a report; those that it holds already are not looked at."""
    found = [*_of_labels(report), *_of_rows(report), *_of_table(report)]
    for number in report.numeric_fields:
        found += _of_number(number)
    for field in report.id_fields:
        found += _of_id(field, report.rows["train"])
    return tuple(found)


def _of_labels(report: DataReport) -> Iterator[DataWarning]:
    for split in SPLITS:
        rate = report.label_rate[split]
        if not report.rows[split] or LOW_LABEL_RATE <= rate < 1:
            continue
        if rate in (0, 1):
            remedy = "Check which column is the label; AUC is undefined where a split has one class."
        else:
            remedy = "Take more rows, or keep fewer of those without a click and correct the calibration for it."
        what = f"The label rate of {split} is {_percent(rate)}."
        yield DataWarning(code="label_rate", field=None, what=what, figure=rate, remedy=remedy)


def _of_rows(report: DataReport) -> Iterator[DataWarning]:
    for split in SPLITS[1:]:
        if not report.rows[split]:
            yield DataWarning(
                code="empty_split",
                field=None,
                what=f"The split {split} has no rows.",
                figure=0,
                remedy=f"Prepare again with a {split}_fraction above 0 to measure on rows that did not train.",
            )
    rejected = sum(report.rejected.values())
    share = rejected / max(rejected + sum(report.rows.values()), 1)
    if share > REJECTED_SHARE:
        yield DataWarning(
            code="rejected_rows",
            field=None,
            what=f"{_percent(share)} of the raw rows could not be used ({rejected:,}).",
            figure=share,
            remedy="rejected.parquet in the dataset's folder has them with file, line and reason: mend them or go on.",
        )
    for split, repeats in report.repeated.items():
        if repeats.share > REPEATED_SHARE:
            yield DataWarning(
                code="repeated_rows",
                field=None,
                what=f"{_percent(repeats.share)} of the rows of {split} occur in train too, label and all, as a model "
                "sees them: all rare values of a field are one.",
                figure=repeats.share,
                remedy="Remove lines that were logged twice; where impressions do come again, or most values are rare, "
                "split by time.",
            )


def _of_table(report: DataReport) -> Iterator[DataWarning]:
    if report.table_bytes < TABLE_BYTES or len(report.id_fields) < 2:
        return
    first = report.largest_fields[0]
    if first.share > TABLE_SHARE:
        yield DataWarning(
            code="table_share",
            field=first.name,
            what=f"It holds {_percent(first.share)} of the embedding table ({first.rows:,} rows).",
            figure=first.share,
            remedy="Raise min_count, which drops its rare values first, or leave the field out and compare.",
        )


def _of_number(field: NumericFieldReport) -> Iterator[DataWarning]:
    share = field.missing_share["train"]
    if share > MISSING_SHARE:
        yield DataWarning(
            code="missing_number",
            field=field.name,
            what=f"It is missing in {_percent(share)} of the training rows.",
            figure=share,
            remedy="Check the column and its separator, or leave the field out.",
        )
    elif field.constant:
        yield DataWarning(
            code="constant_number",
            field=field.name,
            what=f"It is {field.mean:g} in all training rows that have it.",
            figure=field.mean,
            remedy="It can tell nothing: leave the field out.",
        )
    yield from _of_leak(field.name, field.label_auc)
    yield from _of_drift(field.name, field.psi, field.psi_chance)


def _of_id(field: IdFieldReport, train_rows: int) -> Iterator[DataWarning]:
    kinds = field.values + (field.missing_share["train"] > 0) + (field.unseen_share["train"] > 0)
    is_row_id = field.values > ROW_ID_SHARE * train_rows
    if kinds <= 1:
        unseen = field.unseen_share["train"] > 0
        remedy = "Lower min_count if its values shall count, else leave the field out." if unseen else ""
        yield DataWarning(
            code="one_value",
            field=field.name,
            what="All its training values are unseen." if unseen else "It has one value in all training rows.",
            figure=field.values,
            remedy=remedy or "It can tell nothing: leave the field out.",
        )
    elif is_row_id:
        yield DataWarning(
            code="row_id",
            field=field.name,
            what=f"It keeps {field.values:,} values for {train_rows:,} training rows, as the number of a row would.",
            figure=field.values / train_rows,
            remedy="Leave the field out, or raise min_count: a value that does not come again teaches nothing.",
        )
    yield from _of_leak(field.name, field.label_auc)
    if not is_row_id:  # that is the reason, and has its remedy
        yield from _of_unseen(field)
    yield from _of_drift(field.name, field.psi, field.psi_chance)


def _of_unseen(field: IdFieldReport) -> Iterator[DataWarning]:
    found = unseen_warning(field.unseen_share, field.unseen_expected)
    if found is not None:
        yield DataWarning(code="unseen", field=field.name, what=found.what, figure=found.share, remedy=found.remedy)


def _of_drift(name: str, psi: dict[str, float], chance: dict[str, float]) -> Iterator[DataWarning]:
    drifting = {split: value for split, value in psi.items() if value > max(LARGE, chance[split])}
    if drifting:
        split = max(drifting, key=lambda key: drifting[key])
        yield DataWarning(
            code="drift",
            field=name,
            what=f"Its values differ between train and {split}: PSI {drifting[split]:.2f}, above {LARGE}.",
            figure=drifting[split],
            remedy="Train on rows that are nearer in time, or leave the field out if it names a moment.",
        )


def _of_leak(name: str, auc: float | None) -> Iterator[DataWarning]:
    if auc is not None and auc > LEAK_AUC:
        yield DataWarning(
            code="leak",
            field=name,
            what=f"Alone it tells the label with an AUC of {auc:.3f}.",
            figure=auc,
            remedy="Check that its value is known before the label is; leave the field out if it is not.",
        )


def _percent(share: float) -> str:
    return f"{share:.3%}" if 0 < share < LOW_LABEL_RATE * 10 else f"{share:.1%}"
