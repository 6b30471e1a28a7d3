"""Optimizers and batch-size scaling rules. `scaling`, `published` and `step_settings` need no TensorFlow.

from ctrfast.optim import CowClip      # the optimizer for any Keras model
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctrfast.optim.keras_cowclip import CowClip

__all__ = ["CowClip"]


def __getattr__(name: str) -> Any:
    """Import `CowClip`, and with it TensorFlow, when it is asked for: `scaling` must come without."""
    if name in __all__:
        from ctrfast.optim import keras_cowclip

        return getattr(keras_cowclip, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
