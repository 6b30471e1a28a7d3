"""Schemas: what a column may mean, and names that cannot become paths."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from ctrfast.data.prepare import prepare
from ctrfast.data.shards import Dataset
from ctrfast.errors import ConfigError
from ctrfast.schema import IdField, Schema, load_schema, preset


def schema(name="C", **values):
    return Schema(name="mine", columns=("click", name), label="click", id_fields=(IdField(name=name),), **values)


@pytest.mark.parametrize("name", ["../../evil", "/abs", "a/b", "a\\b", ".hidden", "", "x" * 200, "nul\x00"])
def test_a_field_name_that_could_leave_its_folder_is_refused(name):
    with pytest.raises(ValidationError):
        schema(name)


def test_no_field_may_take_the_labels_place():
    with pytest.raises(ValidationError, match="No field may be named 'label'"):
        Schema(name="mine", columns=("click", "label"), label="click", id_fields=(IdField(name="label"),))


@pytest.mark.parametrize(
    "text, words",
    [
        ("name: mine", "columns"),
        ("name: mine\ncolumns: [y, a, a]\nlabel: y\nid_fields: [{name: a}]", "more than once"),
        ("name: mine\ncolumns: [y, a]\nlabel: y\nid_fields: [{name: b}]", "no column for b"),
        ("name: mine\ncolumns: [y, a]\nlabel: y\nid_fields: []", "at least one"),
        ("name: mine\ncolumns: [y, a]\nlabel: y\nid_fields: [{name: a, part: weekday}]", "go together"),
        ("name: mine\ncolumns: [y, a]\nlabel: y\nid_fields: [{name: a, hash: 3}]", "hash"),
        ("a: [", "not YAML"),
        ("name: mine\nlabel: y\nlabel: z", "Got 'label' again on line 3. Keep one"),
    ],
)
def test_a_schema_file_that_breaks_a_rule_is_refused_in_one_line(tmp_path, text, words):
    file = tmp_path / "schema.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_schema(file)
    assert "\n" not in caught.value.message


def test_a_field_without_a_column_is_told_in_our_words(tmp_path):
    file = tmp_path / "schema.yaml"
    file.write_text("name: mine\ncolumns: [y, a]\nlabel: y\nid_fields: [{name: a}, {name: b}]\n")
    with pytest.raises(ConfigError, match=r"breaks a rule at the file: Each field.*Got no column for b\.$"):
        load_schema(file)


def test_a_schema_file_is_read(tmp_path):
    file = tmp_path / "schema.yaml"
    file.write_text("name: mine\ncolumns: [y, n, a]\nlabel: y\nid_fields: [{name: a}]\nnumeric_fields: [{name: n}]\n")
    assert load_schema(file).input_columns == ("n", "a")


def test_the_schema_of_the_data_page_works(tmp_path):
    page = (Path(__file__).parents[1] / "data" / "README.md").read_text()
    (tmp_path / "schema.yaml").write_text(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    schema = load_schema(tmp_path / "schema.yaml")
    (tmp_path / "raw.csv").write_text(
        "time,clicked,price,item,user\n2026-01-05 07:00:00,1,3.5,a,u\n2026-01-05 08:00:00,0,,b,u\n"
    )
    report = prepare([tmp_path / "raw.csv"], schema, tmp_path / "d", valid_fraction=0, test_fraction=0)
    assert report.rows["train"] == 2
    hours = Dataset.open(tmp_path / "d").encoder().vocabularies["hour"]
    assert hours.values.to_pylist() == ["7", "8"]


def test_presets():
    assert len(preset("criteo").id_names) == 26
    assert len(preset("criteo").numeric_names) == 13
    assert preset("avazu").id_names[:2] == ("hour_of_day", "weekday")
    with pytest.raises(ConfigError, match="Did you mean avazu"):
        preset("avzu")
