"""The networks that there are, with what each costs for a dataset's fields: what `ctrfast models` lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from ctrfast.model_config import MODEL_OPTIONS, MODEL_VARIANTS, ModelConfig
from ctrfast.network_sizes import network_size

# One line each; the docstrings under `ctrfast/models` have equations, sources and differences.
SUMMARIES: dict[str, str] = {
    "afm": "FM with attention over the pairs",
    "autoint": "Self-attention over the fields beside an MLP",
    "dcn": "Crosses by one vector per layer beside an MLP",
    "dcn_mix": "Crosses by a gated mixture of low-rank experts beside an MLP",
    "dcn_v2": "Crosses by one matrix per layer, full or of low rank, beside an MLP",
    "deep_fwfm": "FwFM beside an MLP",
    "deepfm": "FM beside an MLP",
    "dlrm": "MLP on inner products of embeddings and of what a small MLP makes of the numbers",
    "eulernet": "Interactions of learned order, in the complex plane",
    "fcn": "Crosses of linear and of exponential order, without an MLP (DCNv3)",
    "fibinet": "MLP on bilinear pairs of plain and of weighted embeddings",
    "final_mlp": "Two gated MLPs, joined by a bilinear product",
    "fm": "Factorization machine: the inner products of all pairs",
    "fwfm": "FM with a weight for each pair of fields",
    "gdcn": "Crosses with a gate beside an MLP",
    "lr": "Logistic regression",
    "masknet": "Blocks whose input is masked by the impression, one behind the other or side by side",
    "nfm": "MLP on the sum of all pairs' products",
    "pnn": "MLP on embeddings and products of pairs",
    "wide_deep": "Linear part beside an MLP",
    "xdeepfm": "Compressed interaction network beside an MLP",
}


@dataclass(frozen=True)
class Architecture:
    """A network.

    options: its settings beside `name` and `embedding_dim`. variants: values of `variant`, the first by default.
    parameters: weights outside the table. flops: of one impression's forward pass, two for each of
    `network_sizes.Size.multiply_adds`.
    """

    name: str
    summary: str
    options: tuple[str, ...]
    variants: tuple[str, ...]
    parameters: int
    flops: int


@dataclass(frozen=True)
class EmbeddingTable:
    """The fused table, which every network has beside its own weights.

    rows: V, of all fields. width: D + 1, an id's vector and its linear weight. parameters: both multiplied.
    """

    rows: int
    width: int
    parameters: int

    @classmethod
    def of(cls, rows: int, embedding_dim: int) -> Self:
        """The table of a dataset's V rows."""
        return cls(rows, embedding_dim + 1, rows * (embedding_dim + 1))


def architectures(id_fields: int, numeric_fields: int, embedding_dim: int = 10) -> tuple[Architecture, ...]:
    """All networks by name, in their default form.

    Args:
        id_fields: F.
        numeric_fields: N.
        embedding_dim: D.
    """
    return tuple(_architecture(name, id_fields, numeric_fields, embedding_dim) for name in sorted(MODEL_OPTIONS))


def _architecture(name: str, id_fields: int, numeric_fields: int, embedding_dim: int) -> Architecture:
    own: dict[str, Any] = {"name": name, "embedding_dim": embedding_dim}
    size = network_size(ModelConfig(**own), id_fields, numeric_fields)
    variants = MODEL_VARIANTS.get(name, ())
    return Architecture(name, SUMMARIES[name], MODEL_OPTIONS[name], variants, size.parameters, 2 * size.multiply_adds)
