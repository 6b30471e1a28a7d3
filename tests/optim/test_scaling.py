"""Scaling plans against the published settings and the rules' own table."""

import math

import pytest

from ctrfast.config import CONSTANT_CLIPS, TrainConfig, parse_config
from ctrfast.optim.scaling import Plan, make_plan
from ctrfast.optim.scaling_rules import PUBLISHED, RULES


def plan(preset="criteo", **values):
    return make_plan(parse_config(values), preset)


@pytest.mark.parametrize("preset", PUBLISHED)
def test_cowclip_gives_the_published_rows_or_names_the_exception(preset):
    published = PUBLISHED[preset]
    for batch_size, row in published.table.items():
        got = plan(preset, batch_size=batch_size)
        ours = (got.lr_dense, got.lr_embed, got.l2)
        if batch_size in published.exceptions:
            assert ours != pytest.approx(row, rel=1e-3)
            assert published.exceptions[batch_size] in got.reasons["lr_dense"]
        else:
            assert ours == pytest.approx(row, rel=1e-3)


def test_the_published_bound_changes_with_the_batch_on_avazu_only():
    assert [plan("avazu", batch_size=b).bound for b in (256, 1024, 2048, 4096, 131072)] == [
        1e-3,
        1e-3,
        1e-3,
        1e-4,
        1e-4,
    ]
    assert {plan("criteo", batch_size=b).bound for b in (1024, 131072)} == {1e-5}


@pytest.mark.parametrize(
    "preset, batch_size, reason",
    [
        ("avazu", 2048, "published base for avazu"),
        ("avazu", 4096, "published for avazu at batch 4,096 and above"),
        ("avazu", 131072, "published for avazu at batch 4,096 and above"),
        ("criteo", 131072, "published base for criteo"),
        ("mine", 131072, "Criteo's published base"),
    ],
)
def test_the_bound_says_which_published_row_it_is_of(preset, batch_size, reason):
    assert plan(preset, batch_size=batch_size).reasons["bound"] == f"{reason} (arXiv:2204.06240)"


@pytest.mark.parametrize(
    "rule, dense, embed, l2",
    [
        ("none", 1, 1, 1),
        ("sqrt", 8, 8, 8),
        ("sqrt_star", 8, 8, 1),
        ("linear", 64, 64, 1),
        ("n2_lambda", 8, 1, 4096),
        ("cowclip", 8, 1, 64),
        ("adaptive", 8, 8, 1),
    ],
)
def test_each_rule_at_64_times_the_base(rule, dense, embed, l2):
    values = {"lr_dense": 1e-3, "lr_embed": 1e-4, "l2": 1e-6}
    got = plan(batch_size=8192, scaling={"rule": rule, "base_batch_size": 128}, optimizer=values)
    assert got.scale == 64
    assert got.lr_dense == pytest.approx(1e-3 * dense)
    assert got.lr_embed == pytest.approx(1e-4 * embed)
    assert got.l2 == pytest.approx(1e-6 * l2)
    is_cowclip = rule == "cowclip"
    assert got.clip == ("adaptive_column" if is_cowclip else "none")
    warms_up = rule in ("cowclip", "adaptive")
    assert got.warmup_epochs == (1 if warms_up else 0)
    assert got.embedding_init_std == (1e-2 if warms_up else 1e-4)
    assert (got.lr_decay, got.beta_1) == (("cooldown", 0.5) if rule == "adaptive" else ("constant", 0.9))


@pytest.mark.parametrize("scale, beta_1", [(0.5, 0.95), (1, 0.9), (2, 0.8), (4, 0.6), (5, 0.5), (128, 0.5)])
def test_adaptive_shortens_the_momentum_down_to_a_half(scale, beta_1):
    got = plan(batch_size=int(128 * scale), scaling={"rule": "adaptive"})
    assert got.beta_1 == pytest.approx(beta_1)
    assert f"x {scale:g}, 1/2" in got.reasons["beta_1"]


def test_adaptive_starts_from_its_own_base_where_none_is_set():
    got = plan("avazu", batch_size=8192, scaling={"rule": "adaptive"}, optimizer={"l2": 1e-5})
    assert (got.base_batch_size, got.scale, got.l2) == (128, 64, 1e-5)
    assert (got.lr_dense, got.lr_embed) == (pytest.approx(8e-3), pytest.approx(1.6e-2))
    assert "base of rule adaptive" in got.reasons["lr_embed"]
    assert got.reasons["l2"] == "1e-05 at batch 128 x 1: rule adaptive (set)"
    clipped = plan("avazu", batch_size=8192, scaling={"rule": "adaptive"}, optimizer={"clip": "adaptive_column"})
    assert clipped.reasons["bound"] == "published for avazu at batch 4,096 and above (arXiv:2204.06240)"


def test_what_is_set_wins_over_the_rule():
    given = {"warmup_epochs": 0, "embedding_init_std": 0.5, "bound": 0.1, "clip_ratio": 2, "clip": "adaptive_field"}
    given["beta_1"] = 0.7
    got = plan(optimizer=given, scaling={"rule": "adaptive"})
    assert {name: getattr(got, name) for name in given} == given
    assert {got.reasons[name] for name in given} == {"set"}


@pytest.mark.parametrize("clip", CONSTANT_CLIPS)
def test_a_constant_clip_is_not_scaled_and_an_adaptive_one_has_no_constant(clip):
    values = {"clip": clip, "clip_norm": 0.25}
    got = [plan(batch_size=b, optimizer=values) for b in (1024, 131072)]
    assert [(p.clip, p.clip_norm, p.clip_ratio, p.bound) for p in got] == [(clip, 0.25, None, None)] * 2
    assert got[0].reasons["bound"] == f"clip {clip} has none"
    assert plan().clip_norm is None
    bare = plan(optimizer={"clip": "none"})
    assert (bare.clip_ratio, bare.bound, bare.clip_norm) == (None, None, None)


def test_choices_that_leave_the_source_say_so():
    assert "different mathematics" in plan(optimizer={"update": "sparse"}).reasons["update"]
    for name, article in (("lamb", "1904.00962"), ("lars", "1708.03888")):
        got = plan(optimizer={"name": name})
        assert got.optimizer == name
        assert article in got.reasons["optimizer"]
    got = plan(optimizer={"lr_decay": "cosine", "name": "lamb"}, scaling={"rule": "adaptive"})
    assert (got.lr_decay, got.beta_1) == ("cosine", None)
    assert got.reasons["lr_decay"].startswith("set; ")
    assert got.reasons["beta_1"] == "lamb keeps its article's"


def test_every_value_has_a_reason_and_ours_are_named():
    got = make_plan(TrainConfig(), "criteo")
    assert set(got.reasons) == set(got.model_dump()) - {"reasons", "rule", "preset"}
    assert "our reading" in plan(scaling={"rule": "n2_lambda"}).reasons["lr_dense"]
    assert "Criteo's published base" in plan("mine").reasons["l2"]


def test_a_plan_of_an_earlier_run_has_the_momentum_that_was_fixed_then():
    stored = plan().model_dump(exclude={"beta_1"})
    assert Plan.model_validate(stored).beta_1 == 0.9


def test_a_scale_of_one_changes_nothing():
    values = {"lr_dense": 8e-4, "l2": 1e-5}
    for rule in RULES:
        got = plan(batch_size=1024, scaling={"rule": rule, "base_batch_size": 1024}, optimizer=values)
        assert math.isclose(got.lr_dense, 8e-4)
        assert math.isclose(got.l2, 1e-5)


def test_the_frame_has_a_row_per_setting_with_its_reason():
    resolved = plan(batch_size=4096)
    frame = resolved.frame()
    assert set(frame.index) == resolved.settings.keys() == resolved.reasons.keys()
    assert frame.loc["lr_dense"].tolist() == [resolved.lr_dense, resolved.reasons["lr_dense"]]
    assert frame.loc["clip_norm", "value"] is None
    assert not {"rule", "preset", "reasons"} & set(frame.index)
