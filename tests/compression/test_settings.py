"""The preset, what a file changes of it, and what is refused before anything runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ctrfast.compression.settings import KINDS, PRESET, parse_compression, read_compression
from ctrfast.errors import ConfigError
from ctrfast.forms import Form
from ctrfast.sweep import sweep_points


def test_the_preset_is_whole():
    config = parse_compression({})
    wide, small = (sweep_points(config.sweep(kind)) for kind in KINDS)
    assert [point.config.model.hidden for point in wide] == [(512,) * 3, (1024,) * 3]
    assert [point.config.model.hidden for point in small] == [(32,) * 3, (64,) * 3, (128,) * 3]
    assert {point.config.epochs for point in wide} < {1, 2} and {point.config.epochs for point in small} == {8}
    assert {point.config.final_weights for point in (*wide, *small)} == {"best"}
    assert config.forms("small") == (Form(), Form("int8"))
    assert config.forms("wide") == tuple(
        Form(precision, share) for share in (None, 0.25, 0.5) for precision in ("float32", "int8")
    )


def test_the_page_shows_the_preset(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text()
    (block,) = re.findall(r"^```yaml\n# compress.yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert yaml.safe_load(block) == PRESET


def test_a_file_changes_the_parts_that_it_names(tmp_path):
    file = tmp_path / "compress.yaml"
    file.write_text("data: clicks\nbase: {batch_size: 4096}\nsmall: {model.hidden: [[8, 8]]}\nprune: []\n")
    config, data = read_compression(file)
    assert data == Path("clicks")
    assert config.base == {"final_weights": "best", "batch_size": 4096}
    assert config.small == {"model.hidden": [[8, 8]]}
    assert config.wide == PRESET["wide"]
    assert config.forms("wide") == (Form(), Form("int8"))
    assert read_compression(None) == (parse_compression({}), None)


@pytest.mark.parametrize(
    "values, path, says",
    [
        ({"wid": {}}, "wid", "Did you mean wide"),
        ({"wide": {}}, "wide", "breaks a rule"),
        ({"base": [1]}, "base", "settings by name"),
        ({"prune": [1.0]}, "prune.0", "less than 1"),
        ({"prune": [0.5, 0.5]}, "prune", "each value once"),
        ({"quantize": ["int4"]}, "quantize.0", "float16"),
        ({"quantize": ["int8", "int8"]}, "quantize", "each value once"),
        ({"wide": {"model.hiden": [[8]]}}, "wide.model.hiden", "model.hidden"),
        ({"small": {"epochs": [0]}}, "small.epochs", "greater than or equal to 1"),
        ({"small": {"epochs": {"low": 1, "high": 2}}}, "small.epochs", "Add `search`"),
        ({"base": {"batch_size": 0}}, "base.batch_size", "greater than or equal to 1"),
    ],
)
def test_refusals(values, path, says):
    with pytest.raises(ConfigError, match=says) as caught:
        parse_compression(values)
    assert caught.value.path == path
