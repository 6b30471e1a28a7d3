import json

from bench.networks_page import FOLDER, INDEX, TOWERS, pages
from ctrfast.model_config import MODEL_NAMES, MODEL_VARIANTS
from ctrfast.task_config import TASK_SETTINGS
from ctrfast.tower_config import TOWER_SETTINGS


def test_the_pages_are_up_to_date():
    """After a change of a network, its docstring or a measurement: `make networks-page`."""
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()} == pages()


def test_every_network_has_a_page_with_its_source_sizes_and_a_peer(tmp_path):
    found = pages(tmp_path)
    assert set(found) == {INDEX, TOWERS, *(f"{name}.md" for name in MODEL_NAMES)}
    for name in MODEL_NAMES:
        text = found[f"{name}.md"]
        assert f"[`{name}`]({name}.md)" in found[INDEX]
        assert "Source: " in text and "Differs from the source" in text
        assert "- The same logits" in text
        for variant in MODEL_VARIANTS.get(name, ()):
            assert f"| `variant: {variant}` |" in text
        assert "## Measured" not in text
    assert "rows per second" not in found[INDEX]


def test_towers_and_heads_have_theirs():
    text = pages()[TOWERS]
    for name in TOWER_SETTINGS:
        assert "```text" in text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    for kind in TASK_SETTINGS:
        assert f"- `{kind}`: The same logits as DeepCTR" in text


def test_measured_figures_stand_in_tables(tmp_path):
    made = {"machine": "two cores", "command": "python -m bench.zoo", "date": "today"}
    speeds = {"ctrfast": [300.0, 500.0, 400.0], "DeepCTR": [100.0, 100.0, 200.0]}
    figures = {"dcn": {"rows_per_s": speeds, "one_row_us": [81.0, 80.0]}, "lr": {"rows_per_s": {}, "one_row_us": []}}
    (tmp_path / "zoo.json").write_text(json.dumps({**made, "title": "At batch 8", "figures": figures}))
    runs = [{"metrics": {"test_auc": 0.7}}, {"metrics": {"test_auc": 0.8}}]
    stopped = {"stopped": "The loss is not a number."}
    aucs = {"dcn": {"base": runs, "cowclip_64": [stopped]}, "lr": {"base": runs, "cowclip_64": [runs[0], stopped]}}
    (tmp_path / "zoo_auc.json").write_text(json.dumps({**made, "title": "Test AUC", "figures": aucs}))
    found = pages(tmp_path)
    assert "| `dcn` | 400 | 100 | 80 |" in found[INDEX]
    assert "| `lr` | - | - | - |" in found[INDEX]
    assert "| `dcn` | 0.7500 (0.0707) | stopped |" in found[INDEX]
    assert "| ctrfast | 400 (300 to 500) |  |" in found["dcn.md"]
    assert "| DeepCTR | 100 (100 to 200) | 3.00 |" in found["dcn.md"]
    assert "One row scored by ONNX: 80 us, the least of 2 repeats." in found["dcn.md"]
    assert "| base | 0.7500 (0.0707) | 2 |" in found["dcn.md"]
    assert "| cowclip_64 | stopped | 0 of 1 |" in found["dcn.md"]
    assert "| cowclip_64 | 0.7000 | 1 of 2 |" in found["lr.md"]
    assert "`python -m bench.zoo` on today (two cores)" in found["dcn.md"]
    assert "## Measured" not in found["fm.md"]


def test_figures_of_an_earlier_run_are_told_as_such(tmp_path):
    made = {"machine": "two cores", "command": "now", "date": "June", "title": "At batch 8"}
    earlier = {"machine": "one core", "command": "before", "date": "May"}
    own = {"rows_per_s": {"ctrfast": [4.0]}, "one_row_us": [80.0]}
    figures = {"dcn": {**own, "earlier": earlier}, "lr": {**own, "earlier": None}}
    (tmp_path / "zoo.json").write_text(json.dumps({**made, "figures": figures}))
    found = pages(tmp_path)
    assert "Printed by `before` on May (one core)" in found["dcn.md"]
    assert "Printed by `now` on June (two cores)" in found["lr.md"]
    assert "Of earlier runs, which it names: `dcn`." in found[INDEX]
