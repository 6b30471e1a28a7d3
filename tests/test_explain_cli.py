"""`ctrfast explain` as a user calls it."""

import json

from ctrfast.score import Scorer
from tests.test_cli import ctrfast, refused


def test_a_row_is_explained(bundle_path):
    value = str(Scorer.load(bundle_path).encoder.vocabularies["C9"].values[0])
    row = json.dumps({"I1": 3, "C9": value, "C1": "never seen"})
    lines = ctrfast("explain", bundle_path, "--row", row, "--pairs", 3).stdout.splitlines()
    assert lines[0].startswith("probability 0.")
    assert lines[1].startswith("without any value: probability 0.")
    assert any(line.split()[:2] == ["C9", value] for line in lines)
    assert sum(" with " in line for line in lines) == 3
    found = json.loads(ctrfast("explain", bundle_path, "--row", row, "--json").stdout)
    assert len(found["fields"]) == 39
    assert len(found["pairs"]) == 10

    lines = ctrfast("explain", bundle_path, "--row", row, "--encoding").stdout.splitlines()
    shown = {line.split()[0]: line for line in lines[1:]}
    assert " unseen " in shown["C1"]
    assert f"{value} " in shown["C9"]
    assert " kept " in shown["C9"]
    assert " missing " in shown["C2"]
    assert " 3, transformed " in shown["I1"]
    encoded = json.loads(ctrfast("explain", bundle_path, "--row", row, "--encoding", "--json").stdout)
    assert [field["became"] for field in encoded[13]["values"]] == ["unseen"]


def test_refusals(bundle_path, tmp_path):
    assert "`row` must be JSON. Got '{'" in refused("explain", bundle_path, "--row", "{")
    assert "JSON object" in refused("explain", bundle_path, "--row", "[]")
    assert "no column 'C99'" in refused("explain", bundle_path, "--row", '{"C99": 1}')
    assert "There is no bundle" in refused("explain", tmp_path / "none", "--row", "{}")
