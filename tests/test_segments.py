"""Figures per value of a field against scikit-learn on the rows of each value."""

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from ctrfast.metrics import sigmoid
from ctrfast.segments import SegmentPredictions, auc_by_group


def clicks(rows=4000, values=60, seed=1):
    """Labels, logits and ids; low ids are frequent, and logits are rounded so that ties occur."""
    rng = np.random.default_rng(seed)
    ids = np.floor(rng.random(rows) ** 3 * values).astype(np.int32)
    labels = (rng.random(rows) < 0.1 + 0.3 * (ids % 3 == 0)).astype(np.float32)
    logits = (rng.normal(size=rows) + labels + ids % 3).round(1).astype(np.float32)
    return labels, logits, ids


def report_of(labels, logits, ids, **options):
    state = SegmentPredictions()
    state.add(labels, logits, ids)
    return state.report("C9", lambda id_: f"v{id_}", **options)


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_auc_by_group_equals_scikit_learn(decimals):
    labels, logits, ids = clicks()
    logits = logits.round(decimals)
    areas = auc_by_group(labels, logits, ids, 61)
    assert np.isnan(areas[60])  # without rows
    checked = 0
    for value in range(60):
        at = ids == value
        if len(np.unique(labels[at])) == 2:
            assert areas[value] == pytest.approx(roc_auc_score(labels[at], logits[at]), abs=1e-12)
            checked += 1
        else:
            assert np.isnan(areas[value])
    assert 30 < checked < 60


def test_figures_of_each_segment_equal_scikit_learn():
    labels, logits, ids = clicks()
    report = report_of(labels, logits, ids, most=5)
    assert report.field == "C9"
    by_rows = sorted(set(ids.tolist()), key=lambda value: (-np.count_nonzero(ids == value), value))
    assert [segment.id for segment in report.segments] == [*by_rows[:5], None]
    names = {0: "<unseen>", 1: "<missing>"}
    assert [s.value for s in report.segments] == [*(names.get(id_, f"v{id_}") for id_ in by_rows[:5]), "<other>"]
    assert {"<unseen>", "<missing>"} < {segment.value for segment in report.segments}
    assert sum(segment.rows for segment in report.segments) == len(labels)
    for segment in report.segments:
        at = ids == segment.id if segment.id is not None else np.isin(ids, by_rows[5:])
        rate, probabilities = labels[at].mean(dtype=float), sigmoid(logits[at])
        loss = sklearn_log_loss(labels[at], probabilities)
        assert segment.rows == np.count_nonzero(at)
        assert segment.label_rate == pytest.approx(rate)
        assert segment.auc == pytest.approx(roc_auc_score(labels[at], logits[at]), abs=1e-12)
        assert segment.log_loss == pytest.approx(loss, abs=1e-9)
        assert segment.normalised_entropy == pytest.approx(
            loss / sklearn_log_loss(labels[at], np.full(segment.rows, rate)), abs=1e-9
        )
        assert segment.calibration_ratio == pytest.approx(probabilities.mean() / rate)


def test_gauc_weighs_by_rows_and_leaves_out_values_of_one_class():
    labels, logits, ids = clicks()
    report = report_of(labels, logits, ids, most=5)
    areas, weights, skipped = [], [], []
    for value in np.unique(ids):
        at = ids == value
        if len(np.unique(labels[at])) == 2:
            areas.append(roc_auc_score(labels[at], logits[at]))
            weights.append(np.count_nonzero(at))
        else:
            skipped.append(np.count_nonzero(at))
    assert report.gauc == pytest.approx(np.average(areas, weights=weights), abs=1e-12)
    assert report.gauc != pytest.approx(roc_auc_score(labels, logits), abs=1e-3)
    assert (report.values, report.skipped_values, report.skipped_rows) == (60, len(skipped), sum(skipped))
    assert skipped


def test_undefined_figures_are_none():
    report = report_of([0, 0, 1], [0.0, 1.0, 2.0], [5, 5, 6])
    none, all_clicks = report.segments
    assert (none.value, none.auc, none.normalised_entropy, none.calibration_ratio) == ("v5", None, None, None)
    assert none.label_rate == 0
    assert (all_clicks.auc, all_clicks.normalised_entropy) == (None, None)
    assert all_clicks.calibration_ratio == pytest.approx(1 / (1 + np.exp(-2)))
    assert (report.gauc, report.skipped_values, report.skipped_rows) == (None, 2, 3)


def test_as_many_values_as_are_listed_leave_no_other():
    assert [s.id for s in report_of([0, 1, 0], [0, 1, 2], [4, 4, 3], most=2).segments] == [4, 3]
    assert SegmentPredictions().report("C9", str).segments == ()


def test_parts_merge_into_the_same_report():
    labels, logits, ids = clicks()
    first, second = SegmentPredictions(), SegmentPredictions()
    first.add(labels[:700], logits[:700], ids[:700])
    second.add(labels[700:2000], logits[700:2000], ids[700:2000])
    second.add(labels[2000:], logits[2000:], ids[2000:])
    first.merge(second)
    assert first.report("C9", lambda id_: f"v{id_}") == report_of(labels, logits, ids)
