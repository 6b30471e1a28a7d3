from ctrfast.loop.latest_figures import LatestFigures


def test_later_figures_replace_earlier_ones_and_those_of_a_split_carry_its_name():
    latest = LatestFigures()
    latest.take({"kind": "train", "epoch": 0, "step": 5, "loss": 0.7, "train_s": 1.5})
    latest.take({"kind": "evaluation", "split": "valid", "step": 5, "auc": 0.6, "train_s": 2.5})
    latest.take({"kind": "train", "epoch": 0, "step": 9, "loss": 0.5, "train_s": 3.5})
    assert latest.metrics == {"loss": 0.5, "valid_auc": 0.6}


def test_figures_of_a_field_are_kept_apart():
    latest = LatestFigures()
    latest.take({"kind": "train", "step": 5, "clipped_share_by_field": {"C1": 0.25, "C2": 0.0}})
    latest.take({"kind": "evaluation", "split": "valid", "step": 5, "embedding_norm_by_field": {"C1": 1.5}})
    latest.take({"kind": "train", "step": 9, "clipped_share_by_field": {"C1": 0.125}})
    assert latest.by_field == {"clipped_share.C1": 0.125, "clipped_share.C2": 0.0, "embedding_norm.C1": 1.5}
    assert latest.metrics == {}
