import pytest

from ctrfast.data.report.labels import label


@pytest.mark.parametrize(
    ("name", "shown"), [("$x$", "$x$"), ("a\nb", "a?b"), ("\u5e7f\u544a", "??"), ("x" * 30, "x" * 23 + "…")]
)
def test_labels(name, shown):
    assert label(name) == shown
