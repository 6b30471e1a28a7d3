"""ctrfast: large-batch click-through-rate training with CowClip and batch-size scaling rules.

Importing this package selects Keras 2 (`tf-keras`), which TensorFlow Recommenders and TensorFlow's multi-worker
strategies need; it does not import TensorFlow. Import it before TensorFlow.

Raises:
    DependencyError: TensorFlow was loaded first and already runs with Keras 3.
"""

from __future__ import annotations

import os
import sys

from ctrfast._version import VERSION
from ctrfast.errors import DependencyError

__all__ = ["__version__"]

__version__ = VERSION

_KERAS_SWITCH = "TF_USE_LEGACY_KERAS"

if "tensorflow" in sys.modules and "keras" in sys.modules and os.environ.get(_KERAS_SWITCH) != "1":
    raise DependencyError(
        "TensorFlow is already loaded with Keras 3, and ctrfast needs Keras 2. "
        "Import ctrfast before tensorflow, or set TF_USE_LEGACY_KERAS=1 in the environment."
    )
os.environ[_KERAS_SWITCH] = "1"
