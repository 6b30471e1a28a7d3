"""Files that are not as the manifest says are refused, with the file's or the field's name."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ctrfast.errors import DataError
from ctrfast.preflight.stored_files import check_files, check_shards, spaced

SHARD = "train/part-00000.parquet"


def as_bytes(table, **options):
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def test_a_whole_dataset_is_taken(copy):
    dataset = copy.open()
    check_files(dataset)
    groups = check_shards(dataset)
    assert (groups.count, groups.rows, groups.largest) == (1, 2700, 2700)


@pytest.mark.parametrize("content", [None, b"short"])
def test_a_file_that_is_missing_or_cut(copy, content):
    (copy.path / SHARD).unlink()
    if content is not None:
        (copy.path / SHARD).write_bytes(content)
    with pytest.raises(DataError, match=r"^train/part-00000.parquet must have the manifest's [0-9,]+ bytes") as caught:
        check_files(copy.open())
    assert caught.value.path == "dataset"


def test_another_vocabulary(copy):
    copy.edit(lambda manifest: manifest["vocabulary"].update(hash="0" * 64))
    with pytest.raises(DataError, match="vocabulary's hash and sizes must be alike"):
        check_files(copy.open())


def test_a_vocabulary_with_other_values_names_its_field(copy):
    copy.replace("vocabulary/b.parquet", as_bytes(pq.read_table(copy.path / "vocabulary/b.parquet").slice(1)))
    with pytest.raises(DataError, match=r"must hold the 12 values of b\. Got 11") as caught:
        check_files(copy.open())
    assert caught.value.path == "dataset.b"


@pytest.mark.parametrize(("name", "kind"), [("label", pa.int32()), ("n", pa.float64()), ("a", pa.int64())])
def test_a_column_of_another_type_names_its_field(copy, name, kind):
    table = pq.read_table(copy.path / SHARD)
    at = table.schema.get_field_index(name)
    copy.replace(SHARD, as_bytes(table.set_column(at, name, table[name].cast(kind))))
    with pytest.raises(DataError, match=rf"must have the column '{name}' of the type .*Got {kind}\.") as caught:
        check_shards(copy.open())
    assert caught.value.path == f"dataset.{name}"


def test_a_column_that_is_missing_names_its_field(copy):
    copy.replace(SHARD, as_bytes(pq.read_table(copy.path / SHARD).drop_columns("b")))
    with pytest.raises(DataError, match=r"column 'b' .* Got no such column") as caught:
        check_shards(copy.open())
    assert caught.value.path == "dataset.b"


def test_a_shard_with_other_rows_or_without_a_footer(copy):
    copy.replace(SHARD, as_bytes(pq.read_table(copy.path / SHARD).slice(1)))
    with pytest.raises(DataError, match=r"2,700 rows\. Got 2,699"):
        check_shards(copy.open())
    copy.replace(SHARD, b"PAR1 and no footer")
    with pytest.raises(DataError, match=r"train/part-00000\.parquet cannot be read as parquet"):
        check_shards(copy.open())


def test_a_footer_is_read_again_once_its_file_has_changed(copy):
    assert check_shards(copy.open()).rows == 2700
    copy.replace(SHARD, as_bytes(pq.read_table(copy.path / SHARD).drop_columns("b")))
    with pytest.raises(DataError, match="Got no such column"):
        check_shards(copy.open())


def test_row_groups_are_counted(copy):
    copy.replace(SHARD, as_bytes(pq.read_table(copy.path / SHARD), row_group_size=1000))
    groups = check_shards(copy.open())
    assert (groups.count, groups.rows, groups.largest) == (3, 2700, 1000)


def test_spaced_takes_first_and_last():
    assert spaced(range(100), 3) == [0, 49, 99]
    assert spaced([1, 2], 3) == [1, 2]
    assert spaced([], 3) == []
