"""N replicas at batch B/N take the steps of one at B."""

import pytest

from ctrfast.config import parse_config
from ctrfast.errors import ConfigError
from tests.two_replicas import same_on_two_replicas


def test_two_replicas_take_the_steps_of_one(dataset, tmp_path):
    one, two, printed = same_on_two_replicas(dataset.path, tmp_path, atol=2e-6)
    assert one.receipt.steps == two.receipt.steps > 20
    assert two.metrics["test_auc"] == pytest.approx(one.metrics["test_auc"], abs=1e-4)
    assert two.metrics["clipped_share"] == pytest.approx(one.metrics["clipped_share"], abs=1e-3)
    assert printed.startswith("replicas `replicas` must be at most this machine's 2 CPU devices. Got replicas=3.")
    assert not (tmp_path / "none").exists()


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ConfigError, match=r"`replicas` must divide batch_size=100\. Got replicas=3"):
        parse_config({"batch_size": 100, "replicas": 3})
