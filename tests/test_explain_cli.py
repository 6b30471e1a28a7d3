"""`ctrfast explain` as a user calls it."""

import json

import pytest
from typer.testing import CliRunner

from ctrfast.cli import app
from ctrfast.errors import ArtifactError, CtrFastError, DataError
from ctrfast.score import Scorer
from tests.command_line import called


def explain(bundle, row, *options):
    """What the command prints, called in this process."""
    done = CliRunner().invoke(app, ["explain", str(bundle), "--row", row, *options])
    if isinstance(done.exception, CtrFastError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_a_row_is_explained(bundle_path):
    value = str(Scorer.load(bundle_path).encoder.vocabularies["C9"].values[0])
    row = json.dumps({"I1": 3, "C9": value, "C1": "never seen"})
    lines = called("explain", bundle_path, "--row", row, "--pairs", 3).stdout.splitlines()
    assert lines[0].startswith("probability 0.")
    assert lines[1].startswith("without any value: probability 0.")
    assert any(line.split()[:2] == ["C9", value] for line in lines)
    assert sum(" with " in line for line in lines) == 3
    assert [line.split()[0] for line in lines if "(unseen)" in line] == ["C1"]
    found = json.loads(explain(bundle_path, row, "--json"))
    assert len(found["fields"]) == 39
    assert len(found["pairs"]) == 10
    assert [field["name"] for field in found["fields"] if field["unseen"]] == ["C1"]

    lines = explain(bundle_path, row, "--encoding").splitlines()
    shown = {line.split()[0]: line for line in lines[1:]}
    assert " unseen " in shown["C1"]
    assert f"{value} " in shown["C9"]
    assert " kept " in shown["C9"]
    assert " missing " in shown["C2"]
    assert " 3, transformed " in shown["I1"]
    encoded = json.loads(explain(bundle_path, row, "--encoding", "--json"))
    assert [field["became"] for field in encoded[13]["values"]] == ["unseen"]


@pytest.mark.parametrize(
    "row, message",
    [
        ("{", r"`row` must be JSON\. Got '\{'"),
        ("[]", "JSON object"),
        ('{"C99": 1}', "no column 'C99'"),
    ],
)
def test_rows_that_are_none(bundle_path, row, message):
    with pytest.raises(DataError, match=message):
        explain(bundle_path, row)


def test_a_bundle_that_is_none(tmp_path):
    with pytest.raises(ArtifactError, match="There is no bundle"):
        explain(tmp_path / "none", "{}")
