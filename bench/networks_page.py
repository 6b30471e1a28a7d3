"""docs/networks/README.md: every network, from its docstrings, the golden files and the measured figures.

python -m bench.networks_page            # `make networks-page`; a test compares the page with what this would write

Figures come from bench/results/zoo.json and zoo_auc.json where these are.
"""

from __future__ import annotations

import ast
import inspect
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.parity.golden import Golden
from bench.workload import FIELDS, NUMBERS, WIDTH
from ctrfast.architectures import Architecture, architectures

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "networks" / "README.md"
RESULTS = ROOT / "bench" / "results"
GOLDENS = ROOT / "tests" / "golden" / "parity"
MODELS = ROOT / "ctrfast" / "models"
_OURS = "ctrfast"


def page(results: Path = RESULTS) -> str:
    """The page's text. results: the folder of measured figures."""
    networks = architectures(FIELDS, NUMBERS, WIDTH)
    goldens = _goldens()
    sections = "\n\n".join(_section(network, goldens[network.name]) for network in networks)
    return f"""# Networks

Made by `make networks-page`: the docstrings under `ctrfast/models`, the parity files, and what the benchmarks measured.
Weights (without the table) and FLOPs of one row are those of {FIELDS} id fields x {WIDTH} and {NUMBERS} numbers, in the
default form; `ctrfast models --data DATASET` counts them for your fields. Each network, given the weights of another
system's, computes the same logits to 1e-5, on {_count(goldens)} files under `tests/golden/parity`
(`make parity` makes them anew); weights that the other has not are 0 there, and those that it shares are equal.
Low-rank crosses of `dcn_v2` and outer products of `pnn` have no such file: like all else they are compared with a
forward pass in numpy. FLOPs are two for each multiplication, of matrix and inner products and element by element:
sums, norms, activations and constant factors count nothing. Letters: B rows, F id fields, N numbers, D width of a
vector, H of a hidden layer.

{_overview(networks, goldens)}
{_measured(networks, results)}
{sections}

## What the deep & cross networks share

{_docstrings("deep_cross")}

## Heads for several labels

Of every network with the option `tasks` ([settings](../models.md#several-labels)).

{_module_docstring("task_heads")}
"""


def _goldens() -> dict[str, list[Golden]]:
    """By network."""
    found: dict[str, list[Golden]] = {}
    for path in sorted(GOLDENS.glob("*.npz")):
        golden = Golden.load(path)
        found.setdefault(golden.model["name"], []).append(golden)
    return found


def _count(goldens: dict[str, list[Golden]]) -> int:
    return sum(len(cases) for cases in goldens.values())


def _overview(networks: Sequence[Architecture], goldens: dict[str, list[Golden]]) -> str:
    rows = [
        [
            f"[`{network.name}`](#{network.name})",
            network.summary,
            f"{network.parameters:,}",
            f"{network.flops:,}",
            goldens[network.name][0].peer.split(",")[0],
        ]
        for network in networks
    ]
    return _table(["network", "what", "weights", "FLOPs", "the same as in"], rows, left=2)


def _section(network: Architecture, goldens: Sequence[Golden]) -> str:
    options = ", ".join(f"`{option}`" for option in network.options) or "none beside `embedding_dim`"
    variants = f" Variants: {', '.join(f'`{variant}`' for variant in network.variants)}." if network.variants else ""
    return f"""## {network.name}

{network.summary}. Options: {options}.{variants}

{_docstrings(network.name)}

{chr(10).join(_compared(golden) for golden in goldens)}"""


def _compared(golden: Golden) -> str:
    """One line: whose logits it gives, and why the counts of weights differ."""
    form = f" (`{golden.model['variant']}`)" if "variant" in golden.model else ""
    reasons = [f"{count:+,}: {reason}" for reason, count in golden.differences.items()]
    told = f" Weights, ours against the peer's: {'; '.join(reasons)}." if reasons else " As many weights."
    return f"- The same logits{form} as {golden.peer}.{told}"


def _docstrings(module: str) -> str:
    """Of the classes of a file, the network's first."""
    tree = ast.parse((MODELS / f"{module}.py").read_text(encoding="utf-8"))
    *parts, network = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return "\n\n".join(f"```text\n{node.name}\n\n{_docstring(node)}\n```" for node in (network, *parts))


def _module_docstring(module: str) -> str:
    tree = ast.parse((MODELS / f"{module}.py").read_text(encoding="utf-8"))
    return f"```text\n{inspect.cleandoc(ast.get_docstring(tree, clean=False) or '')}\n```"


def _docstring(node: ast.ClassDef) -> str:
    return inspect.cleandoc(ast.get_docstring(node, clean=False) or "")


def _measured(networks: Sequence[Architecture], results: Path) -> str:
    """Tables of what was measured; empty where nothing was."""
    return "".join(f"\n{table}\n" for table in (*_speed(networks, results), *_auc(networks, results)))


def _speed(networks: Sequence[Architecture], results: Path) -> Iterator[str]:
    if not (results / "zoo.json").is_file():
        return
    made = json.loads((results / "zoo.json").read_text(encoding="utf-8"))
    found = {network.name: made["figures"][network.name] for network in networks if network.name in made["figures"]}
    peers = sorted({system for figures in found.values() for system in figures["rows_per_s"]} - {_OURS})
    rows = [
        [
            f"`{name}`",
            *(_median(figures["rows_per_s"].get(system)) for system in (_OURS, *peers)),
            f"{min(figures['one_row_us']):,.0f}" if figures["one_row_us"] else "-",
        ]
        for name, figures in found.items()
    ]
    yield f"Training, rows per second, and one row scored by ONNX ({made['machine']}; `bench/results/zoo.md`):"
    yield _table(["network", _OURS, *peers, "one row, us"], rows)


def _auc(networks: Sequence[Architecture], results: Path) -> Iterator[str]:
    if not (results / "zoo_auc.json").is_file():
        return
    made = json.loads((results / "zoo_auc.json").read_text(encoding="utf-8"))
    found = {network.name: made["figures"][network.name] for network in networks if network.name in made["figures"]}
    cases = list(next(iter(found.values())))
    rows = [[f"`{name}`", *(_mean_auc(by_case[case]) for case in cases)] for name, by_case in found.items()]
    yield f"{made['title']} (`bench/results/zoo_auc.md`), mean over the seeds and deviation:"
    yield _table(["network", *cases], rows)


def _median(values: Sequence[float] | None) -> str:
    return f"{statistics.median(values):,.0f}" if values else "-"


def _mean_auc(runs: Sequence[dict[str, Any]]) -> str:
    aucs = [run["metrics"]["test_auc"] for run in runs if "metrics" in run]
    if not aucs:
        return "stopped"
    deviation = f" ({statistics.stdev(aucs):.4f})" if len(aucs) > 1 else ""
    return f"{statistics.mean(aucs):.4f}{deviation}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Markdown; so many columns to the left."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
