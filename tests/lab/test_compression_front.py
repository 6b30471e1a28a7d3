"""Means over seeds, the front and the picture, of figures that are easy to compute by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from ctrfast.errors import ArtifactError, DataError
from ctrfast.lab import compressed, draw_front, form_means
from ctrfast.lab.compression_front import COSTS
from ctrfast.lab.compression_page import PAGE, PICTURE, cells, notes, picture_front, write_front
from tests.lab.frames import drawn, texts

# kind, hidden, precision, prune: AUC of seed 1 (seed 2: 0.002 more), latency, bytes
FORMS = {
    ("wide", "512x512", "float32", 0.0): (0.780, 200.0, 8),
    ("wide", "512x512", "int8", 0.0): (0.779, 210.0, 2),
    ("wide", "512x512", "float32", 0.5): (0.770, 100.0, 6),
    ("small", "16x16", "float32", 0.0): (0.772, 50.0, 5),
    ("small", "32x32", "float32", 0.0): (0.768, 60.0, 5),
}


def forms(seeds=(1, 2)) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "kind": kind,
            "run": f"{kind}/runs/{hidden}-{seed}",
            "settings": f"model.hidden={hidden}",
            "network": "deepfm",
            "hidden": hidden,
            "kept": hidden,
            "epochs": 1 if kind == "wide" else 8,
            "seed": seed,
            "precision": precision,
            "prune": prune,
            "train_s": 10.0 * seed,
            "auc": auc + 0.002 * (seed - 1),
            "log_loss": 0.5,
            "calibrated_log_loss": 0.49,
            "weights": int(hidden.partition("x")[0]) ** 2,
            "model_bytes": size * 2**20,
            "row_latency_us": latency,
            "thousand_rows_ms": latency / 10,
        }
        for (kind, hidden, precision, prune), (auc, latency, size) in FORMS.items()
        for seed in seeds
    )


def test_means_and_the_front_of_each_cost():
    means = form_means(forms())
    assert list(means["auc"]) == pytest.approx([0.781, 0.780, 0.771, 0.773, 0.769])
    assert list(means["sd"]) == pytest.approx([0.002 / 2**0.5] * 5)
    assert list(means["seeds"]) == [2] * 5
    assert list(means["train_s"]) == [15.0] * 5
    assert list(means["on_front"]) == [True, False, False, True, False]
    by_size = form_means(forms(), "model_bytes")
    assert list(by_size["on_front"]) == [True, True, False, False, False]
    assert form_means(forms(seeds=(1,)))["sd"].isna().all()


def test_the_picture():
    (axes,) = draw_front(forms()).axes
    lines = drawn(axes)
    assert lines["small, float32"] == ([50.0, 60.0], pytest.approx([0.773, 0.769]))
    assert lines["wide: 2 x 512, float32"] == ([200.0, 100.0], pytest.approx([0.781, 0.771]))
    assert lines["wide: 2 x 512, int8"][0] == [210.0]
    assert lines["on the front"][0] == [50.0, 200.0]
    assert {text.get_text() for text in axes.texts} == {"2 x 16", "2 x 32", "-50%"}
    assert "Test AUC against latency of one row" in texts(axes)
    assert "(us)" in axes.get_xlabel()
    (axes,) = draw_front(forms(), "model_mib").axes
    assert drawn(axes)["on the front"][0] == [2.0, 8.0]
    assert len(picture_front(forms()).axes) == 3


# kind, hidden, precision, prune: AUC of two seeds, latency of a row and of 1,000, bytes. Of notebook 08: small networks
# alike in AUC and cost, so that names written at a fixed distance cover each other.
CROWDED = {
    ("wide", "512x512x512", "float32", 0.0): (0.75098, 0.75324, 174.0, 16.55, 6162922),
    ("wide", "512x512x512", "int8", 0.0): (0.75097, 0.75323, 180.0, 23.87, 956786),
    ("wide", "512x512x512", "float32", 0.25): (0.75058, 0.75242, 84.0, 10.73, 4044280),
    ("wide", "512x512x512", "int8", 0.25): (0.75068, 0.75252, 97.0, 13.39, 686846),
    ("wide", "512x512x512", "float32", 0.5): (0.74484, 0.74696, 38.0, 8.47, 2449902),
    ("wide", "512x512x512", "int8", 0.5): (0.74484, 0.74696, 45.0, 9.73, 482414),
    ("small", "16x16x16", "float32", 0.0): (0.74980, 0.75560, 27.0, 1.47, 873580),
    ("small", "16x16x16", "int8", 0.0): (0.74980, 0.75560, 41.0, 5.05, 275733),
    ("small", "32x32x32", "float32", 0.0): (0.75014, 0.75326, 50.0, 1.88, 921318),
    ("small", "32x32x32", "int8", 0.0): (0.75014, 0.75326, 56.0, 4.96, 282360),
    ("small", "64x64x64", "float32", 0.0): (0.75203, 0.75317, 50.0, 2.64, 1041386),
    ("small", "64x64x64", "int8", 0.0): (0.75196, 0.75324, 59.0, 7.01, 298636),
}


def crowded() -> pd.DataFrame:
    rows = forms(seeds=(1, 2)).iloc[0].to_dict()
    found = []
    for (kind, hidden, precision, prune), (*aucs, latency, thousand, size) in CROWDED.items():
        about = {"kind": kind, "hidden": hidden, "settings": hidden, "precision": precision, "prune": prune}
        costs = {"row_latency_us": latency, "thousand_rows_ms": thousand, "model_bytes": size}
        weights = {"weights": int(hidden.partition("x")[0]) ** 2}
        found += [{**rows, **about, **costs, **weights, "seed": seed, "auc": auc} for seed, auc in enumerate(aucs)]
    return pd.DataFrame(found)


def mark_boxes(axes, pixels) -> list[Bbox]:
    """Around each mark of the lines in the legend, 2.5 points each way: what is seen of it."""
    handles = axes.get_legend_handles_labels()[0]
    lines = [handle.lines[0] if hasattr(handle, "lines") else handle for handle in handles]
    points = np.concatenate([axes.transData.transform(line.get_xydata()) for line in lines])
    return [Bbox([point - 2.5 * pixels, point + 2.5 * pixels]) for point in points]


def assert_names_are_readable(figure):
    figure.draw_without_rendering()
    for axes in figure.axes:
        names = [(note.get_text(), Text.get_window_extent(note)) for note in axes.texts]
        assert sorted(text for text, _ in names) == ["-25%", "-50%", "3 x 16", "3 x 32", "3 x 64"]
        for (text, box), (other_text, other) in itertools.combinations(names, 2):
            assert not box.overlaps(other), (axes.get_title(), text, other_text)
        for text, box in names:
            assert not box.count_overlaps(mark_boxes(axes, figure.dpi / 72)), (axes.get_title(), text)
            assert axes.bbox.fully_containsx(box.x0) and axes.bbox.fully_containsy(box.y1), text


def test_names_cover_neither_each_other_nor_marks():
    assert_names_are_readable(picture_front(crowded()))
    for cost in COSTS:
        assert_names_are_readable(draw_front(crowded(), cost))


def test_the_page(tmp_path):
    table = forms(seeds=(1,))
    table.assign(prune=table["prune"].where(table["prune"] > 0)).to_parquet(tmp_path / "results.parquet")
    assert list(compressed(tmp_path)["prune"]) == [0.0, 0.0, 0.5, 0.0, 0.0]
    assert write_front(tmp_path) == tmp_path / PAGE
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / PAGE).read_text()
    assert "float32, pruned by 0.5" in page
    assert "small 10 to 10, wide 10 to 10." in page
    assert len(list(tmp_path.iterdir())) == 3


def test_the_words_of_the_table():
    found = list(cells(forms()))
    assert found[2] == (
        "wide deepfm", "float32, pruned by 0.5", "2 x 512", "1", "15.0", "0.7710 ± 0.0014", "0.5000", "0.4900",
        "262,144", "100", "10.00", "6.00", "-",
    )  # fmt: skip
    assert found[0][-1] == "yes"
    assert next(notes(forms())).endswith("small 10 to 20, wide 10 to 20. No training follows the pruning.")


def test_refusals(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        compressed(tmp_path)
    with pytest.raises(DataError, match="`auc`"):
        form_means(forms().assign(auc=None))
