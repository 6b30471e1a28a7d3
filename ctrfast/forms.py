"""The forms that a bundle's weights can have, what one costs, and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass

from ctrfast.errors import ConfigError, unknown_name
from ctrfast.packing import PRECISIONS, Precision


@dataclass(frozen=True)
class Form:
    """How a bundle keeps its weights. prune, prune_pairs: shares of hidden units and weighted pairs that are left out.

    Raises:
        ConfigError: there is no such precision, or a share is not between 0 and 1.
    """

    precision: Precision = "float32"
    prune: float | None = None
    prune_pairs: float | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS, path="quantize")
        for option in ("prune", "prune_pairs"):
            share = getattr(self, option)
            if share is not None and not 0 < share < 1:
                raise ConfigError(f"`{option}` must be above 0 and below 1. Got {option}={share:g}.", path=option)

    @property
    def name(self) -> str:
        """For people: `int8`, `float32, pruned by 0.5`, `float32, pairs pruned by 0.9`."""
        name: str = self.precision
        if self.prune is not None:
            name += f", pruned by {self.prune:g}"
        return name if self.prune_pairs is None else f"{name}, pairs pruned by {self.prune_pairs:g}"


TRAINED = Form()


@dataclass(frozen=True)
class Cost:
    """A form's price. metrics: as `ctrfast.metrics` names them, before calibration. model_bytes: weights and graph.

    latency_s: median seconds of one call by its rows, on one thread, encoded rows to scores.
    """

    form: Form
    metrics: dict[str, float]
    model_bytes: int
    latency_s: dict[int, float]


@dataclass(frozen=True)
class Gate:
    """What a form may cost at most, against the trained weights on the same rows: AUC, and log loss in nats.

    Raises:
        ConfigError: a limit is below 0.
    """

    max_auc_drop: float = 0.0005
    max_log_loss_rise: float = 0.0005

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ConfigError(f"`{name}` must be >= 0. Got {name}={value}.", path=name)
