"""docs/networks: a page per network, one of towers and heads, and an index, from docstrings, golden files and figures.

python -m bench.networks_page            # `make networks-page`; a test compares the pages with what this would write

Figures come from bench/results/zoo.json and zoo_auc.json where these are.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.networks_measured import RESULTS, of_all, of_one, table
from bench.parity.golden import Golden
from bench.workload import FIELDS, NUMBERS, WIDTH
from ctrfast.architectures import Architecture, architectures
from ctrfast.model_config import ModelConfig
from ctrfast.network_sizes import network_size

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "networks"
INDEX, TOWERS = "README.md", "towers.md"
GOLDENS = ROOT / "tests" / "golden" / "parity"
MODELS = ROOT / "ctrfast" / "models"
_NOTE = "Made by `make networks-page`."
_LETTERS = "Letters: B rows, F id fields, N numbers, D width of a vector, H of a hidden layer."


def pages(results: Path = RESULTS) -> dict[str, str]:
    """The text of each page by file name. results: the folder of measured figures."""
    networks, goldens = architectures(FIELDS, NUMBERS, WIDTH), _goldens()
    of_heads = [golden for golden in goldens if "tasks" in golden.model]
    by_network = {network.name: _of_network(network.name, goldens) for network in networks}
    found = {f"{network.name}.md": _network_page(network, by_network[network.name], results) for network in networks}
    return {**found, INDEX: _index(networks, by_network, len(goldens), results), TOWERS: _towers_page(of_heads)}


def _goldens() -> list[Golden]:
    return [Golden.load(path) for path in sorted(GOLDENS.glob("*.npz"))]


def _of_network(name: str, goldens: Sequence[Golden]) -> list[Golden]:
    """Those of a network with one label."""
    return [golden for golden in goldens if golden.model["name"] == name and "tasks" not in golden.model]


def _index(networks: Sequence[Architecture], goldens: dict[str, list[Golden]], count: int, results: Path) -> str:
    rows = [
        [
            f"[`{network.name}`]({network.name}.md)",
            network.summary,
            f"{network.parameters:,}",
            f"{network.flops:,}",
            goldens[network.name][0].peer.split(",")[0],
        ]
        for network in networks
    ]
    return f"""# Networks

{_NOTE} It takes the docstrings under `ctrfast/models`, the parity files, and what the benchmarks measured. A page
each has equation, source and own figures; [towers.md](towers.md) has what the deep part of a network can be, and the
heads for several labels.

Weights (without the table) and FLOPs of one row are those of {FIELDS} id fields x {WIDTH} and {NUMBERS} numbers, in the
default form; `ctrfast models --data DATASET` counts them for your fields, and its table beside them. Each network,
given the weights of another system's, computes the same logits to 1e-5, on {count} files under `tests/golden/parity`
(`make parity` makes them anew); weights that the other has not are 0 there, and those that it shares are equal.
Low-rank crosses of `dcn_v2` and outer products of `pnn` have no such file: like all else they are compared with a
forward pass in numpy. FLOPs are two for each multiplication, of matrix and inner products and element by element:
sums, norms, activations and constant factors count nothing.

{table(["network", "what", "weights", "FLOPs", "the same as in"], rows, left=2)}
{of_all(results)}"""


def _network_page(network: Architecture, goldens: Sequence[Golden], results: Path) -> str:
    options = ", ".join(f"`{option}`" for option in network.options) or "none beside `embedding_dim`"
    towers = " [Towers and heads](towers.md)." if "tower" in network.options else ""
    measured = of_one(network.name, results)
    return f"""# {network.name}

{network.summary}. Options: {options}.{towers} [All networks](README.md).

{_docstrings(network.name)}

{_LETTERS}

## Size

Of {FIELDS} id fields x {WIDTH} and {NUMBERS} numbers, other options by default (`ctrfast models --preset criteo`); the
table's rows x {WIDTH + 1} come beside the weights. `ctrfast models --data DATASET` counts for your data.

{table(["", "weights", "FLOPs of one row"], [*_sizes(network)])}

## Compared with another system

{chr(10).join(_compared(golden) for golden in goldens)}
{f"{chr(10)}## Measured{chr(10)}{measured}" if measured else ""}"""


def _sizes(network: Architecture) -> Iterator[list[str]]:
    """A line for each variant."""
    for variant in network.variants or (None,):
        own = {} if variant is None else {"variant": variant}
        config = ModelConfig(name=network.name, embedding_dim=WIDTH, **own)  # type: ignore[arg-type]
        size = network_size(config, FIELDS, NUMBERS)
        title = f"`{network.name}`" if variant is None else f"`variant: {variant}`"
        yield [title, f"{size.parameters:,}", f"{2 * size.multiply_adds:,}"]


def _compared(golden: Golden) -> str:
    """One line: whose logits it gives, and why the counts of weights differ."""
    form = f" (`{golden.model['variant']}`)" if "variant" in golden.model else ""
    reasons = [f"{count:+,}: {reason}" for reason, count in golden.differences.items()]
    told = f" Weights, ours against the peer's: {'; '.join(reasons)}." if reasons else " As many weights."
    return f"- The same logits{form} as {golden.peer}.{told}"


def _towers_page(goldens: Sequence[Golden]) -> str:
    heads = "\n".join(f"- `{golden.model['tasks']['kind']}`: {_compared(golden)[2:]}" for golden in goldens)
    return f"""# Towers and heads

{_NOTE} What the option `tower` of a network with a deep part chooses from, and `tasks` for a dataset of several
labels ([settings](../models.md#towers)). [All networks](README.md).

{_LETTERS}

## mlp

{_docstrings("mlp")}

## shared

{_docstrings("shared_tower")}

## moe

{_module_docstring("moe_tower")}

{_docstrings("moe_tower")}

## How a hidden layer ends

{_docstrings("hidden_end")}

## Heads for several labels

{_module_docstring("task_heads")}

The heads of `wide_deep`, with its linear part at 0, beside another system's networks of several labels:

{heads}
"""


def _docstrings(module: str) -> str:
    """Of the classes of a file, the network's first, and of what it is made from, where that is a network too."""
    tree = _parsed(module)
    *parts, network = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    own = [_quoted(f"{node.name}\n\n{_docstring(node)}") for node in (network, *parts)]
    return "\n\n".join([*own, *(_docstrings(base) for base in _base_of(tree, network))])


def _base_of(tree: ast.Module, network: ast.ClassDef) -> Iterator[str]:
    """The file of the network that this one is a form of."""
    names = {base.id for base in network.bases if isinstance(base, ast.Name)}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and names & {alias.name for alias in node.names}:
            package, _, file = node.module.rpartition(".")
            if package == "ctrfast.models" and file not in {"base", "tower"}:
                yield file


def _module_docstring(module: str) -> str:
    return _quoted(_docstring(_parsed(module)))


def _parsed(module: str) -> ast.Module:
    return ast.parse((MODELS / f"{module}.py").read_text(encoding="utf-8"))


def _docstring(node: ast.ClassDef | ast.Module) -> str:
    return inspect.cleandoc(ast.get_docstring(node, clean=False) or "")


def _quoted(text: str) -> str:
    return f"```text\n{text}\n```"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
