"""What a field may be told, and that new settings leave older artefacts as they were."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from ctrfast.data.cells import time_part
from ctrfast.fitted_schema import FittedSchema, Statistics
from ctrfast.id_rows import IdRows
from ctrfast.schema import IdField, NumericField, Schema, preset


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"bucket": "quantile"}, "`buckets` goes with"),
        ({"buckets": 4}, "`buckets` goes with"),
        ({"bucket": "log_squared", "buckets": 4}, "`buckets` goes with"),
        ({"bucket": "log_squared", "part": "month", "time_format": "%m"}, "either `bucket` or `part`"),
        ({"hash_buckets": 5, "min_count": 2}, "do not go with it"),
        ({"hash_buckets": 5, "unseen_buckets": 2}, "do not go with it"),
        ({"hash_buckets": 0}, "greater than or equal to 1"),
        ({"hash_buckets": 2**31}, "less than or equal to"),
        ({"unseen_buckets": True}, "valid integer"),
        ({"min_count": 0}, "greater than or equal to 1"),
        ({"part": "year", "time_format": "%Y"}, "day_of_month"),
        ({"separator": "|"}, "`separator` and `max_values` go together"),
        ({"max_values": 3}, "`separator` and `max_values` go together"),
        ({"separator": " \t", "max_values": 3}, "more than white space"),
        ({"separator": "", "max_values": 3}, "more than white space"),
        ({"separator": "|", "max_values": 0}, "greater than or equal to 1"),
        ({"separator": "|", "max_values": 1001}, "less than or equal to 1000"),
        ({"separator": "|", "max_values": 3, "pooling": "max"}, "'mean' or 'sum'"),
        ({"pooling": "sum"}, "`pooling` needs `separator`"),
        ({"separator": "|", "max_values": 3, "bucket": "log_squared"}, "goes with neither `part` nor `bucket`"),
        ({"separator": "|", "max_values": 3, "part": "month", "time_format": "%m"}, "neither `part` nor `bucket`"),
        ({"share": "g", "min_count": 2}, "belong to the table: set them on the field that 'f' shares with, 'g'"),
        ({"share": "g", "hash_buckets": 2}, "belong to the table"),
        ({"share": "g", "unseen_buckets": 2}, "belong to the table"),
        ({"share": "g", "bucket": "log_squared"}, "shares no table"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        IdField(name="f", **settings)


def test_settings_that_are_not_set_are_not_written():
    assert IdField(name="f").model_dump() == {"name": "f", "column": None, "part": None, "time_format": None}
    assert NumericField(name="n").model_dump() == {"name": "n", "transform": "identity"}
    set_ones = {"name": "f", "min_count": 3, "unseen_buckets": 4}
    assert IdField.model_validate(set_ones).model_dump().items() >= set_ones.items()


def test_a_schema_of_an_earlier_build_keeps_its_hash():
    # As `schema.hash` was before fields had scales, buckets and hashes.
    assert preset("criteo").hash == "8b47f055dbc26aab8565cfa21f22cd5152fea74a014c2d6e9827edcea7fac4b4"


def fitted(**changes):
    schema = Schema(
        name="s",
        columns=("y", "n", "a"),
        label="y",
        numeric_fields=(NumericField(name="low", column="n", scale="min_max"),),
        id_fields=(
            IdField(name="part", column="n", bucket="quantile", buckets=3),
            IdField(name="a", unseen_buckets=4),
            IdField(name="h", column="a", hash_buckets=10),
        ),
    )
    learned = {
        "statistics": {"low": Statistics(mean=1.0, std=1.0, least=0.0, width=2.0)},
        "vocabulary_sizes": {"part": 3, "a": 5, "h": 0},
        "vocabulary_hash": "",
        "edges": {"part": [0.1, 1 / 3]},
    }
    return FittedSchema(schema_=schema, **{**learned, **changes})


def test_a_fitted_schema_round_trips_and_knows_its_tables(tmp_path):
    (tmp_path / "schema.json").write_text(fitted().to_json())
    again = FittedSchema.from_file(tmp_path / "schema.json")
    assert (again, again.hash) == (fitted(), fitted().hash)
    assert again.table_sizes == (5, 10, 12)
    assert again.table_starts == again.slot_offsets == (0, 5, 15)
    assert again.schema_.input_columns == ("n", "a")


def test_edges_are_not_written_where_there_are_none():
    sizes = dict.fromkeys(preset("avazu").id_names, 0)
    plain = FittedSchema(schema_=preset("avazu"), statistics={}, vocabulary_sizes=sizes, vocabulary_hash="")
    assert list(json.loads(plain.to_json())) == ["schema", "statistics", "vocabulary_sizes", "vocabulary_hash"]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"edges": {}}, "`edges` must name"),
        ({"edges": {"part": (2.0, 1.0)}}, "`edges` must rise"),
        ({"statistics": {"low": Statistics(mean=1.0, std=1.0)}}, "must have `least` and `width`"),
    ],
)
def test_a_fitted_schema_that_lacks_something_is_refused(changes, words):
    with pytest.raises(ValidationError, match=words):
        fitted(**changes)


def test_a_field_of_an_unknown_column_is_refused():
    with pytest.raises(ValidationError, match="Got no column for m"):
        Schema(
            name="s",
            columns=("y", "a"),
            label="y",
            numeric_fields=(NumericField(name="n", column="m"),),
            id_fields=(IdField(name="a"),),
        )


A = {"name": "a"}
LISTS = {"separator": "|", "max_values": 2}


@pytest.mark.parametrize(
    "fields, words",
    [
        ([A, {"name": "b", "share": "c"}], "`share` of b must name another id field.*Got 'c'"),
        ([A, {"name": "b", "share": "b"}], "`share` of b must name another id field"),
        ([A, {"name": "b", "share": "a"}, {"name": "c", "share": "b"}], "`share` of c must name .* a table of its own"),
        ([{**A, "bucket": "log_squared"}, {"name": "b", "share": "a"}], "without `bucket`"),
        ([{**A, **LISTS, "separator": ",;"}], "`separator` of a must hold neither that of the file, ','"),
        ([{**A, **LISTS, "separator": '|"'}], "nor a line end or a quote"),
        ([{**A, **LISTS}, {"name": "a2", "column": "a", **LISTS, "separator": "/"}], "must have one `separator`"),
    ],
)
def test_id_fields_that_do_not_fit_together_are_refused(fields, words):
    with pytest.raises(ValidationError, match=words):
        Schema.model_validate(
            {"name": "s", "columns": ("y", "a", "b", "c"), "label": "y", "separator": ",", "id_fields": fields}
        )


def test_slots_and_tables_are_laid_out_once():
    fields = [{"name": "history", "share": "a", **LISTS}, A, {"name": "b", **LISTS, "hash_buckets": 5}, {"name": "c"}]
    columns = ("y", "history", "a", "b", "c")
    schema = Schema.model_validate({"name": "s", "columns": columns, "label": "y", "id_fields": fields})
    of = FittedSchema(schema=schema, statistics={}, vocabulary_sizes={"a": 3, "b": 0, "c": 1}, vocabulary_hash="")
    assert (schema.slots, schema.table_names) == (6, ("a", "b", "c"))
    assert (of.table_sizes, of.table_starts, of.table_rows) == ((6, 8, 3), (0, 6, 14), 17)
    assert of.slot_offsets == (0, 0, 0, 6, 6, 14)
    assert of.row_ranges == (("a", 0), (None, 5), ("b", 6), (None, 13), ("c", 14))


def test_unseen_rows_are_known_in_one_place():
    rows = IdRows(values=3, unseen_buckets=2)
    assert rows.size == 6
    assert rows.is_unseen(np.array([0, 1, 2, 4, 5])).tolist() == [True, False, False, False, True]
    assert rows.folded(np.array([0, 1, 2, 4, 5], np.int32)).tolist() == [0, 1, 2, 4, 0]
    padded = IdRows(values=3, unseen_buckets=2, has_padding=True)
    assert (padded.size, padded.padding) == (7, 6)
    assert padded.is_unseen(np.array([5, 6])).tolist() == [True, False]


@pytest.mark.parametrize(
    "part, saturday, monday",
    [
        ("hour_of_day", "23", "0"),
        ("weekday", "5", "0"),
        ("day_of_month", "28", "2"),
        ("month", "2", "3"),
        ("is_weekend", "1", "0"),
    ],
)
def test_parts_of_times(part, saturday, monday):
    field = IdField(name="f", part=part, time_format="%Y-%m-%d %H")
    assert [time_part(text, field) for text in ("2026-02-28 23", "2026-03-02 00", "soon")] == [saturday, monday, None]
