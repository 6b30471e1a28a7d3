"""Pictures as parts of a page: which there are, and what stands for one that cannot be drawn."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET

import pytest

from ctrfast.lab.batch_size_page import batch_size_figures
from tests.lab.frames import run_rows


@pytest.mark.parametrize("split, name", [("test", "Test"), ("valid", "Validation")])
def test_three_pictures_in_two_colours_each(split, name):
    frame = run_rows().rename(columns={"test_auc": f"{split}_auc"}).assign(**{f"{split}_log_loss": 0.5})
    parts = list(batch_size_figures(frame, notes={"epoch_s": "On one machine."}))
    assert [re.findall('figure id="([^"]+)"', part) for part in parts] == [
        [f"{split}_auc"], [f"{split}_log_loss"], ["epoch_s"],
    ]  # fmt: skip
    for part in parts:
        dark, light = (base64.b64decode(svg) for svg in re.findall('base64,([^"]+)"', part))
        assert {ET.fromstring(svg).tag for svg in (dark, light)} == {"{http://www.w3.org/2000/svg}svg"}
        assert b"#333333" in light
        assert b"#333333" not in dark
        assert "whiskers are one standard deviation." in part
    assert [part.endswith("On one machine.</figcaption></figure>") for part in parts] == [False, False, True]
    assert f"<figcaption>{name} AUC against batch size." in parts[0]
    assert parts == list(batch_size_figures(frame, notes={"epoch_s": "On one machine."}))  # the same bytes


def test_a_sentence_stands_for_a_picture_that_cannot_be_drawn():
    told = list(batch_size_figures(run_rows().assign(test_auc=None, test_log_loss=0.5, epoch_s=None)))
    assert told[0].startswith("<p>No picture of the test AUC: At least one run must have `test_auc`")
    assert told[1].startswith("<figure")
    assert told[2].startswith("<p>No picture of the time per epoch:")


def test_one_seed_has_no_spread():
    (told, *_) = batch_size_figures(run_rows(seeds=(1,)))
    assert "One seed.</figcaption>" in told
