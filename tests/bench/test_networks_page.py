import json

from bench.networks_page import PAGE, page
from ctrfast.model_config import MODEL_NAMES


def test_the_page_is_up_to_date():
    """After a change of a network, its docstring or a measurement: `make networks-page`."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_network_has_a_section_and_a_peer(tmp_path):
    text = page(tmp_path)
    for name in MODEL_NAMES:
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert "```text" in section
        assert "- The same logits" in section
    assert "rows per second" not in text


def test_measured_figures_stand_in_tables(tmp_path):
    speeds = {"ctrfast": [300.0, 500.0, 400.0], "DeepCTR": [100.0]}
    figures = {"dcn": {"rows_per_s": speeds, "one_row_us": [81.0, 80.0]}, "lr": {"rows_per_s": {}, "one_row_us": []}}
    (tmp_path / "zoo.json").write_text(json.dumps({"machine": "two cores", "figures": figures}))
    runs = [{"metrics": {"test_auc": 0.7}}, {"metrics": {"test_auc": 0.8}}]
    aucs = {"dcn": {"base": runs, "cowclip_64": [{"stopped": "The loss is not a number."}]}}
    (tmp_path / "zoo_auc.json").write_text(json.dumps({"title": "Test AUC", "figures": aucs}))
    text = page(tmp_path)
    assert "| `dcn` | 400 | 100 | 80 |" in text
    assert "| `lr` | - | - | - |" in text
    assert "| `dcn` | 0.7500 (0.0707) | stopped |" in text
