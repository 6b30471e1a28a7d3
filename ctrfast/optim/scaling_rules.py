"""Scaling rules for a batch s times larger, and the published settings that they start from.

| rule      | lr_dense | lr_embed | l2     | clip            | warm-up of lr_dense | embedding start |
| none      | 1        | 1        | 1      | none            | none                | N(0, 1e-4)      |
| sqrt      | sqrt s   | sqrt s   | sqrt s | none            | none                | N(0, 1e-4)      |
| sqrt_star | sqrt s   | sqrt s   | 1      | none            | none                | N(0, 1e-4)      |
| linear    | s        | s        | 1      | none            | none                | N(0, 1e-4)      |
| n2_lambda | sqrt s   | 1        | s^2    | none            | none                | N(0, 1e-4)      |
| cowclip   | sqrt s   | 1        | s      | adaptive_column | 1 epoch             | N(0, 1e-2)      |
| adaptive  | sqrt s   | sqrt s   | 1      | none            | 1 epoch             | N(0, 1e-2)      |

`adaptive` also takes Adam's beta_1 = 1 - min(0.1 s, 1/2), and `lr_decay: cooldown`. It starts from base values of its
own where none are set: the published L2 is too weak for a second epoch on little data.

Source: Zheng et al. 2022, arXiv:2204.06240, Rules 1-4 and Tables of the appendix. `adaptive` is ours, after Malladi et
al. 2022, arXiv:2205.10287, Definition 5.2; derivation, evidence and limits: docs/scaling_rules.md.
Differs from the source: n2_lambda's factor of lr_dense is not stated there; sqrt s is our reading; the plan says so.

    RULES["cowclip"].l2_power                     # 1
    PUBLISHED["criteo"].table[131072]             # (0.00905, 0.0001, 0.00128)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ctrfast.config import Clip, LrDecay

SOURCE = "arXiv:2204.06240"


@dataclass(frozen=True)
class Base:
    """Values at a base batch size."""

    lr_dense: float
    lr_embed: float
    l2: float
    base_batch_size: int


@dataclass(frozen=True)
class Rule:
    """Powers of s by which a rule multiplies each base value, and its other choices.

    shortens_momentum: Adam's 1 - beta_1 grows with s. base: where a run starts that sets no values of its own; the
    published ones, if `None`.
    """

    lr_dense_power: float
    lr_embed_power: float
    l2_power: float
    clip: Clip = "none"
    warmup_epochs: float = 0.0
    embedding_init_std: float = 1e-4
    lr_dense_note: str = ""
    lr_decay: LrDecay = "constant"
    shortens_momentum: bool = False
    base: Base | None = None


RULES: dict[str, Rule] = {
    "none": Rule(0, 0, 0),
    "sqrt": Rule(0.5, 0.5, 0.5),
    "sqrt_star": Rule(0.5, 0.5, 0),
    "linear": Rule(1, 1, 0),
    "n2_lambda": Rule(0.5, 0, 2, lr_dense_note="; the source does not state this factor, sqrt s is our reading"),
    "cowclip": Rule(0.5, 0, 1, clip="adaptive_column", warmup_epochs=1, embedding_init_std=1e-2),
    "adaptive": Rule(
        0.5,
        0.5,
        0,
        warmup_epochs=1,
        embedding_init_std=1e-2,
        lr_decay="cooldown",
        shortens_momentum=True,
        base=Base(lr_dense=1e-3, lr_embed=2e-3, l2=4e-4, base_batch_size=128),
    ),
}


@dataclass(frozen=True)
class Published:
    """Settings of the paper at its base batch size, with the rows that it prints for larger ones.

    bounds: (smallest batch size, bound) in rising order. table: batch size -> (lr_dense, lr_embed, l2).
    exceptions: batch sizes whose printed row is off the rule.
    """

    lr_dense: float
    lr_embed: float
    l2: float
    clip_ratio: float
    bounds: tuple[tuple[int, float], ...]
    table: Mapping[int, tuple[float, float, float]]
    exceptions: Mapping[int, str]
    base_batch_size: int = 1024

    def bound(self, batch_size: int) -> float:
        """The printed bound at the largest printed batch size that is not above `batch_size`."""
        return self._bound_row(batch_size)[1]

    def bound_from(self, batch_size: int) -> int | None:
        """The smallest batch size that `bound` is printed for; None where that is the base's."""
        least, _ = self._bound_row(batch_size)
        return None if least == self.base_batch_size else least

    def _bound_row(self, batch_size: int) -> tuple[int, float]:
        return next((row for row in reversed(self.bounds) if row[0] <= batch_size), self.bounds[0])


PUBLISHED: dict[str, Published] = {
    "criteo": Published(
        lr_dense=8e-4,
        lr_embed=1e-4,
        l2=1e-5,
        clip_ratio=1.0,
        bounds=((1024, 1e-5),),
        table={1024: (8e-4, 1e-4, 1e-5), 131072: (90.5e-4, 1e-4, 128e-5)},
        exceptions={},
    ),
    "avazu": Published(
        lr_dense=1e-4,
        lr_embed=1e-4,
        l2=1e-5,
        clip_ratio=1.0,
        bounds=((1024, 1e-3), (4096, 1e-4)),
        table={1024: (1e-4, 1e-4, 1e-5), 131072: (16e-4, 1e-4, 96e-5)},
        exceptions={131072: "tuned by hand: lr_dense 16e-4, l2 96e-5"},
    ),
}
