"""The towers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ctrfast.models.mlp import Mlp
from ctrfast.models.moe_tower import MoeTower
from ctrfast.models.shared_tower import SharedTower
from ctrfast.models.tower import Tower
from ctrfast.tower_config import TowerSettings

TOWERS: dict[str, Callable[..., Tower]] = {"mlp": Mlp, "moe": MoeTower, "shared": SharedTower}


def make_tower(
    settings: TowerSettings,
    width: int,
    hidden: Sequence[int],
    next_seed: Callable[[], int],
    *,
    outputs: int | None = None,
    name: str = "mlp",
) -> Tower:
    """A tower with its weights made.

    Args:
        settings: say which.
        width: of its input, H0.
        hidden: of its layers.
        next_seed: gives a seed for one more layer.
        outputs: width of the last layer; `None` for a logit, (B,); 0 for none.
        name: of the layer.
    """
    return TOWERS[settings.name](width, hidden, next_seed, settings=settings, outputs=outputs, name=name)
