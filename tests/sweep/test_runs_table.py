"""The kinds of the columns of a sweep's table."""

import pyarrow as pa
import pytest

from ctrfast.sweep.table import runs_table


def run(**more):
    return {"name": "a", "settings": {"seed": 1}, **more}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((None, None), pa.float64()),
        ((None, 0.5), pa.float64()),
        ((1, 0.5), pa.float64()),
        ((None, 3), pa.int64()),
    ],
)
def test_a_figure_is_a_number_also_where_no_run_has_it(values, kind):
    table = runs_table([run(metrics={"test_auc": value}) for value in values])
    assert table.schema.field("metrics.test_auc").type == kind
    assert table["metrics.test_auc"].to_pylist() == list(values)


def test_other_columns_without_values_are_text():
    table = runs_table([run(reason=None, metrics={})])
    assert table.schema.field("reason").type == pa.string()
    assert table.schema.field("setting.seed").type == pa.int64()


def test_values_of_several_kinds_and_lists_are_json():
    rows = [{"settings": {"model.hidden": [4, 2]}}, {"settings": {"model.hidden": "wide"}}]
    assert runs_table(rows)["setting.model.hidden"].to_pylist() == ["[4, 2]", '"wide"']
