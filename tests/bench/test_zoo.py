import ast
import sys
from pathlib import Path

import pytest

from bench import zoo
from bench.train import Entry
from bench.zoo import OURS, PEERS, Measured, entries_of, measure, report
from bench.zoo_networks import DEEPCTR, FUXICTR, settings_of
from ctrfast.config import parse_config
from ctrfast.model_config import MODEL_NAMES
from ctrfast.network_sizes import network_size

PROGRAMS = Path(zoo.__file__).parent / "peers"


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_settings_written_out_are_the_networks_own(name):
    settings = settings_of(name)
    plain_settings = {"name": name, "embedding_dim": settings["embedding_dim"]}
    written, plain = (parse_config({"model": model}).model for model in (settings, plain_settings))
    assert network_size(written, 26, 13) == network_size(plain, 26, 13)


@pytest.mark.parametrize(
    ("names", "program", "table"), [(DEEPCTR, "deepctr_networks", "NETWORKS"), (FUXICTR, "fuxictr_networks", "PARTS")]
)
def test_the_peers_programs_have_the_networks_told(names, program, table):
    tree = ast.parse((PROGRAMS / f"{program}.py").read_text())
    (found,) = [node.value for node in tree.body if isinstance(node, ast.AnnAssign) and node.target.id == table]
    assert {key.value for key in found.keys} == names


def test_a_network_is_trained_by_those_that_have_it():
    assert [entry.name for entry in entries_of("dcn")] == [OURS, *PEERS]
    assert [entry.name for entry in entries_of("afm")] == [OURS, "DeepCTR"]
    assert [entry.name for entry in entries_of("gdcn")] == [OURS]


class Program(Entry):
    """A system that takes steps of nothing, or ends."""

    def start(self, data, batch_size):
        return zoo.System(self.name, [sys.executable, "-c", self.module])


def test_each_system_is_measured_and_a_failure_told(tmp_path, pytestconfig, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath))
    works = (
        "from bench.turns import answering\n"
        "with answering() as turns:\n    turns.serve(lambda: None, {'parameters': 7, 'one_row_us': [3.0, 2.0]})"
    )
    entries = [
        Program(OURS, "", works),
        Program("DeepCTR", "", works),
        Program("FuxiCTR", "", "raise SystemExit('no')"),
    ]
    measured = measure("dcn", entries, tmp_path, batch_size=4, rounds=3, rows=8)
    assert measured.parameters == 7
    assert measured.one_row_us == [3.0, 2.0]
    assert {name: len(values) for name, values in measured.rows_per_s.items()} == {OURS: 3, "DeepCTR": 3}
    assert measured.failures[0].startswith("dcn: FuxiCTR ended")
    assert measured.ratio("DeepCTR") > 0
    assert measured.ratio("FuxiCTR") is None


def test_the_report_has_ratios_of_the_rounds_and_names_what_is_slower():
    fast = Measured("dcn", 1234, [9.0, 8.0], {OURS: [400.0, 300.0, 200.0], "DeepCTR": [100.0, 100.0, 100.0]})
    slow = Measured("fm", 14, [7.0], {OURS: [50.0], "FuxiCTR": [100.0]}, ["fm: DeepCTR ended"])
    made = report([fast, slow], batch_size=8, rounds=3, rows=16)
    assert made.tables[0].rows == [
        ["dcn", "1,234", "300 (200-400)", "8", "100 (100-100)", "3.00", "-", "-"],
        ["fm", "14", "50 (50-50)", "7", "-", "-", "100 (100-100)", "0.50"],
    ]
    assert "Compared: 2; ctrfast is slower in: fm (FuxiCTR, 0.50)." in made.notes
    assert "FAILED: fm: DeepCTR ended" in made.notes
