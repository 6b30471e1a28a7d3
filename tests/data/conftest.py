"""Real sample rows where they are present, synthetic ones elsewhere; never skipped."""

from pathlib import Path

import pytest

from ctrfast.data.synth import synth
from ctrfast.schema import IdField, NumericField, Schema

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def _sample(preset: str, name: str, folder: Path) -> Path:
    real = SHARED / preset / name
    if real.is_file():
        return real
    synth(folder / name, preset, 20_000, 5)
    return folder / name


@pytest.fixture(scope="session")
def criteo_sample(tmp_path_factory) -> Path:
    """Rows in Criteo's raw format."""
    return _sample("criteo", "train_sample.tsv.gz", tmp_path_factory.mktemp("criteo"))


@pytest.fixture(scope="session")
def avazu_sample(tmp_path_factory) -> Path:
    """Rows in Avazu's raw format."""
    return _sample("avazu", "train_sample.csv.gz", tmp_path_factory.mktemp("avazu"))


@pytest.fixture
def tiny() -> Schema:
    """Tab-separated, no header: label, one number, two ids."""
    return Schema(
        name="tiny",
        columns=("label", "n", "a", "b"),
        label="label",
        numeric_fields=(NumericField(name="n"),),
        id_fields=(IdField(name="a"), IdField(name="b")),
    )


@pytest.fixture
def tiny_csv(tiny) -> Schema:
    """The same, comma-separated with a header and a time."""
    values = tiny.model_dump()
    values |= {"columns": ("label", "n", "a", "b", "at", "unused"), "separator": ",", "header": True}
    values["id_fields"] = [*values["id_fields"], *_time_fields()]
    return Schema.model_validate(values)


def _time_fields() -> list[dict[str, str]]:
    when = {"column": "at", "time_format": "%y%m%d%H"}
    return [{"name": "hour_of_day", "part": "hour_of_day", **when}, {"name": "weekday", "part": "weekday", **when}]
