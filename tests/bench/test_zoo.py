import ast
import json
import sys
from pathlib import Path

import pytest

from bench import zoo
from bench.fuxictr_checkout import NETWORKS, load
from bench.train import Entry
from bench.zoo import OURS, PEERS, Measured, entries_of, kept, measure, report
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
    ("names", "program", "table"),
    [
        (DEEPCTR, "deepctr_networks", "NETWORKS"),
        (FUXICTR, "fuxictr_networks", "PARTS"),
        (frozenset(NETWORKS), "fuxictr_whole", "OPTIONS"),
    ],
)
def test_the_peers_programs_have_the_networks_told(names, program, table):
    tree = ast.parse((PROGRAMS / f"{program}.py").read_text())
    (found,) = [node.value for node in tree.body if isinstance(node, ast.AnnAssign) and node.target.id == table]
    assert {key.value for key in found.keys} == names


def test_a_network_is_trained_by_those_that_have_it():
    assert [entry.name for entry in entries_of("dcn")] == [OURS, *PEERS]
    assert [entry.name for entry in entries_of("deep_fwfm")] == [OURS, "DeepCTR"]


def test_fuxictrs_files_are_measured_where_they_are(tmp_path):
    file = tmp_path / "model_zoo" / "DCNv3" / "src" / "DCNv3.py"
    file.parent.mkdir(parents=True)
    file.write_text("layers = 3")
    assert load("DCNv3", tmp_path).layers == 3
    assert [entry.name for entry in entries_of("fcn", tmp_path)] == [OURS, "FuxiCTR"]
    assert [entry.name for entry in entries_of("gdcn", tmp_path)] == [OURS]
    assert [entry.name for entry in entries_of("afm", tmp_path)] == [OURS, "DeepCTR"]
    with pytest.raises(SystemExit, match=r"GDCN\.py is missing\. `make build/fuxictr/\.ready` gets it"):
        load("GDCN", tmp_path)


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


def test_the_report_tells_which_of_fuxictrs_files_were_missing():
    ours = {OURS: [4.0]}
    results = [
        Measured("fcn", rows_per_s={**ours, "FuxiCTR": [2.0]}),
        Measured("gdcn", rows_per_s=ours),
        Measured("masknet", rows_per_s=ours, failures=["masknet: FuxiCTR ended"]),
        Measured("xdeepfm", rows_per_s=ours),
    ]
    (note,) = [note for note in report(results, 8, 1, 16).notes if "repository" in note]
    assert note.startswith("Not measured: FuxiCTR's gdcn, which are files of its repository")
    assert not [note for note in report(results[:1], 8, 1, 16).notes if "repository" in note]


def test_other_networks_keep_their_figures_and_say_of_which_run(tmp_path):
    before = [Measured(name, 3, [1.0], {OURS: [4.0], "DeepCTR": [speed]}) for name, speed in (("fm", 8.0), ("lr", 2.0))]
    made, path = report(before, batch_size=8, rounds=1, rows=16), tmp_path / "zoo.json"
    run = {"command": "python -m bench.zoo", "date": "May", "machine": "two cores"}
    path.write_text(json.dumps({**run, "title": made.title, "notes": made.notes, "figures": made.figures}))
    (left,) = kept(path, ["lr"], made.title, made.notes[0])
    assert (left.name, left.earlier, left.ratio("DeepCTR")) == ("fm", run, 0.5)
    again = report([left, Measured("lr", rows_per_s={OURS: [5.0]})], batch_size=8, rounds=1, rows=16)
    assert "Of `python -m bench.zoo` on May (two cores): fm." in again.notes
    assert [line[:3] for line in again.tables[0].rows] == [["fm", "3", "4 (4-4)"], ["lr", "-", "5 (5-5)"]]
    path.write_text(
        json.dumps({**run, "command": "later", "title": again.title, "notes": again.notes} | {"figures": again.figures})
    )
    assert [(of.name, of.earlier["command"]) for of in kept(path, [], again.title, again.notes[0])] == [
        ("fm", "python -m bench.zoo"),
        ("lr", "later"),
    ]
    with pytest.raises(SystemExit, match="is of other settings"):
        kept(path, ["lr"], made.title, "Rounds: 5")
